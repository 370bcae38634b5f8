//! The sizes of the hash schedulers' tables, which are configured when a kernel is built, and its architecture.

use std::borrow::Cow;
use std::fs;

use ipvs_client::mapping::{Architecture, Kernel};

use super::{program, sysctl};

/// What the tables depend on, and where that is written.
#[derive(Clone, Debug)]
pub struct TableSizes {
    /// What they depend on.
    pub kernel: Kernel,
    /// Where the size of `sh`'s table is from: a file, or "the default".
    pub sh_from: Cow<'static, str>,
    /// Where that of `mh`'s is from.
    pub mh_from: Cow<'static, str>,
}

/// What a size is that no file says.
const DEFAULT: &str = "the default";

/// Those of the kernel that runs.
#[must_use]
pub fn read() -> TableSizes {
    // Linux before 6.1 does not say it.
    let machine = sysctl::read("kernel/arch");
    let architecture =
        machine.map_or_else(|_| Architecture::of_program(), |machine| Architecture::of_machine(&machine));
    let mut kernel = Kernel { architecture, ..Kernel::DEFAULT };
    let (path, text) = config().unwrap_or_default();
    let (sh_bits, mh_index) = Kernel::sizes_of_config(&text);
    let from = |size: Option<u32>| if size.is_some() { Cow::Owned(path.clone()) } else { Cow::Borrowed(DEFAULT) };
    let (sh_from, mh_from) = (from(sh_bits), from(mh_index));
    kernel.sh_bits = sh_bits.unwrap_or(kernel.sh_bits);
    kernel.mh_index = mh_index.unwrap_or(kernel.mh_index);
    TableSizes { kernel, sh_from, mh_from }
}

/// The kernel's configuration, and its file.
fn config() -> Option<(String, String)> {
    const OF_KERNEL: &str = "/proc/config.gz";
    let release = sysctl::read("kernel/osrelease").ok()?;
    // A path of the release alone: it has no slash.
    let installed = format!("/boot/config-{}", release.replace('/', ""));
    if fs::exists(OF_KERNEL).unwrap_or(false)
        && let Some(gzip) = program::find("gzip")
        && let Ok(output) = program::command(gzip).args(["-dc", OF_KERNEL]).output()
        && output.status.success()
    {
        return Some((OF_KERNEL.to_owned(), String::from_utf8_lossy(&output.stdout).into_owned()));
    }
    let text = fs::read(&installed).ok()?;
    Some((installed, String::from_utf8_lossy(&text).into_owned()))
}
