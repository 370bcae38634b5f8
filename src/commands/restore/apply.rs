//! Plain `-R`: the lines one after the other.

use anyhow::Result;

use crate::commands::list::listing_with;
use crate::commands::progress::Progress;
use crate::commands::save::save_with;
use crate::commands::source::Source;
use crate::commands::{Output, lock, status};
use crate::grammar::Request;
use crate::kernel::{Client, Error, Refusal};
use crate::rules::Line;

/// Do what the lines say, in their order. What the kernel refuses is told, and the rest is done all the same.
pub(super) fn run(
    client: &mut Client,
    lines: &[Line],
    source: &Source<'_>,
    lock_wait: u32,
    output: &mut Output,
) -> Result<u8> {
    let changes = lines.iter().any(|line| line.change().is_some());
    let _locked = changes.then(|| lock::take(lock_wait)).transpose()?;
    let mut refused = status::OK;
    let mut progress = Progress::new("restoring", lines.len());
    for run in lines.chunk_by(|a, b| a.change().is_some() == b.change().is_some()) {
        if run.iter().all(|line| line.change().is_some()) {
            let mut batch = client.batch(|number: u32, refusal: Refusal| {
                refused = status::REFUSED;
                say!("{source}:{number}: {refusal}");
            })?;
            for line in run {
                progress.step();
                if let Some(change) = line.change() {
                    batch.push(line.number, change)?;
                }
            }
            batch.finish()?;
        } else {
            for line in run {
                progress.step();
                match other(client, &line.request, output) {
                    Err(error) if matches!(error.downcast_ref(), Some(Error::Refused(_))) => {
                        refused = status::FAILED;
                        say!("{source}:{}: {error:#}", line.number);
                    }
                    outcome => outcome?,
                }
            }
        }
    }
    Ok(refused)
}

/// A line that asks for something to be printed.
fn other(client: &mut Client, request: &Request, output: &mut Output) -> Result<()> {
    match request {
        Request::List(listing) => listing_with(client, listing, output),
        Request::Save(save) => save_with(client, save, output),
        // The reader lets none of these pass.
        Request::Change(_) | Request::Drain(_) | Request::Restore(_) | Request::Help | Request::Version(_) => Ok(()),
    }
}
