//! The list of deliberate deviations: it, the cases and the man page must agree.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::support::{Trial, trial};

/// A heading of the list.
#[derive(Debug)]
struct Deviation {
    id: String,
    title: String,
}

/// The trials about the list itself.
pub(crate) fn trials(list: PathBuf, used: BTreeSet<String>) -> Vec<Trial> {
    let again = list.clone();
    vec![
        trial("deviations::each has a case and each case has a reason", move || list_is_used(&list, &used)),
        trial("deviations::the man page names each", move || man_page_names_each(&again)),
    ]
}

/// Headings look like `## save-thresholds: -S writes the thresholds`.
fn read(list: &Path) -> Result<Vec<Deviation>> {
    let text = fs::read_to_string(list).with_context(|| list.display().to_string())?;
    let headings = text.lines().filter_map(|line| line.strip_prefix("## "));
    headings
        .map(|heading| {
            let (id, title) = heading.split_once(": ").with_context(|| format!("no title in {heading:?}"))?;
            Ok(Deviation { id: id.to_owned(), title: title.to_owned() })
        })
        .collect()
}

fn list_is_used(list: &Path, used: &BTreeSet<String>) -> Result<()> {
    let listed: BTreeSet<String> = read(list)?.into_iter().map(|deviation| deviation.id).collect();
    let without_case: Vec<&String> = listed.difference(used).collect();
    let without_reason: Vec<&String> = used.difference(&listed).collect();
    ensure!(without_case.is_empty(), "no case shows {without_case:?}");
    ensure!(without_reason.is_empty(), "not in deviations.md: {without_reason:?}");
    Ok(())
}

fn man_page_names_each(list: &Path) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("man/ipvsadm-rs.8");
    let page = plain(&fs::read_to_string(&path).with_context(|| path.display().to_string())?);
    let titles = read(list)?.into_iter().map(|deviation| deviation.title);
    let missing: Vec<String> = titles.filter(|title| !page.contains(&plain(title))).collect();
    ensure!(missing.is_empty(), "{} does not name:\n  {}", path.display(), missing.join("\n  "));
    Ok(())
}

/// A text without the man page's fonts and escapes, or Markdown's marks for code, on one line.
fn plain(text: &str) -> String {
    let mut text = text.replace(['`'], "");
    for (escape, meaning) in [
        ("\\-", "-"),
        ("\\(aq", "'"),
        ("\\&", ""),
        ("\\fB", ""),
        ("\\fI", ""),
        ("\\fR", ""),
        ("\\fP", ""),
        ("\\e", "\\"),
    ] {
        text = text.replace(escape, meaning);
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
