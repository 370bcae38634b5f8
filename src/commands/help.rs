//! `-h` and `-v`.

use std::io::Write;

use anyhow::Result;

use super::subcommands::command_line;
use super::{Output, status};
use crate::grammar::Json;
use crate::view::json::{self, VersionDocument};

/// What listings and command lines are those of.
const IPVSADM: &str = "1.31";
/// The version of IPVS in every kernel since 2.6.25 (`IP_VS_VERSION_CODE` in `linux/ip_vs.h`).
const IPVS: &str = "1.2.1";

/// The help of a program that was called by this name.
pub(super) fn help(program: &str, output: &mut Output) -> Result<u8> {
    version(None, output)?;
    output.write_all(command_line(program).render_help().to_string().as_bytes())?;
    Ok(status::OK)
}

/// Scripts look for the version of ipvsadm at the start.
pub(super) fn version(json: Option<Json>, output: &mut Output) -> Result<u8> {
    let own = env!("CARGO_PKG_VERSION");
    match json {
        Some(json) => {
            let version =
                VersionDocument { program: "ipvsadm-rs", version: own, ipvsadm_version: IPVSADM, ipvs_version: IPVS };
            json::write(output, "version", &version, json.pretty)?;
        }
        None => {
            writeln!(output, "ipvsadm v{IPVSADM} (ipvsadm-rs {own}, compiled with generic netlink and IPVS v{IPVS})")?
        }
    }
    Ok(status::OK)
}
