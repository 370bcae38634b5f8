//! `where --digest`: what two directors compare.

use std::io::Write;

use anyhow::Result;
use ipvs_client::mapping::{HashScheduler, Kernel, Mapping, Member};
use ipvs_client::{Client, ServiceKey};
use serde::Serialize;

use crate::commands::{Output, status};
use crate::view::json::{self, KeyDocument};

/// A service, and its digest.
#[derive(Serialize)]
struct DigestDocument {
    service: KeyDocument,
    digest: Option<String>,
    /// Why it is not known.
    unknown: Option<String>,
}

/// The digests of the services with hash schedulers, or of the one that is asked for. Status 1 if one is not known.
pub(super) fn print(
    client: &mut Client,
    only: Option<ServiceKey>,
    kernel: &Kernel,
    pretty: Option<bool>,
    output: &mut Output,
) -> Result<u8> {
    let mut services = match only {
        Some(key) => vec![client.service_with::<()>(&key)?],
        None => client.services_with::<()>()?,
    };
    services.retain(|entry| HashScheduler::named(entry.service.scheduler).is_some());
    services.sort_unstable_by_key(|entry| entry.service.key);
    let mut documents = Vec::new();
    let mut all_known = true;
    for entry in services {
        let service = entry.service;
        let Some(servers) = client.destinations_with::<()>(&service.key)? else { continue };
        let members: Vec<Member> = servers.iter().map(Member::reported).collect();
        let digest = Mapping::new(&service, &members, kernel).and_then(|mapping| mapping.digest());
        all_known &= digest.is_ok();
        if pretty.is_some() {
            let unknown = digest.as_ref().err().map(ToString::to_string);
            let digest = digest.ok().map(|digest| digest.to_string());
            documents.push(DigestDocument { service: (&service.key).into(), digest, unknown });
            continue;
        }
        match digest {
            Ok(digest) => writeln!(output, "{} {digest}", service.key)?,
            Err(unknown) => writeln!(output, "{} unknown: {unknown}", service.key)?,
        }
    }
    if let Some(pretty) = pretty {
        json::write(output, "digests", &documents, pretty)?;
    }
    Ok(if all_known { status::OK } else { status::FAILED })
}
