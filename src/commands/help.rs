//! `-h` and `-v`.

use std::io::Write;

use anyhow::Result;

use super::{Output, status};
pub(super) fn help(output: &mut Output) -> Result<u8> {
    version(output)?;
    output.write_all(super::command_line().render_help().to_string().as_bytes())?;
    Ok(status::OK)
}

/// Scripts look for the version of ipvsadm at the start.
pub(super) fn version(output: &mut Output) -> Result<u8> {
    let own = env!("CARGO_PKG_VERSION");
    writeln!(output, "ipvsadm v1.31 (ipvsadm-rs {own}, compiled with generic netlink and IPVS v1.2.1)")?;
    Ok(status::OK)
}
