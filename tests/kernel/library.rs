//! The library `ipvs-client` alone: what its verbs make of a table, as the library reads it.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use ipvs_client::{
    Asked, Client, Counters, Daemon, DaemonRole, Destination, DestinationKey, Errno, Error, InterfaceName, Service,
    ServiceKey, Timeouts, scheduler,
};

use crate::support::{Subject, Trial, in_fresh_namespace, trial};

/// What is tried, and where.
pub fn subject() -> Subject {
    Subject { trials, ..Subject::named("library") }
}

fn trials() -> Result<Vec<Trial>> {
    Ok(vec![trial("verbs", || in_fresh_namespace(verbs)), trial("what is refused", || in_fresh_namespace(refusals))])
}

/// The names of the services and their servers, with weights.
fn table(client: &mut Client) -> Result<String> {
    let mut table = client.table()?;
    table.sort();
    let mut text = String::new();
    for service in table.services {
        text.push_str(&format!("{} {}:", service.entry.service.key, service.entry.service.scheduler));
        for server in service.destinations {
            text.push_str(&format!(" {} {}", server.destination.key, server.destination.weight));
        }
        text.push('\n');
    }
    Ok(text)
}

fn ensure_table(client: &mut Client, expected: &str) -> Result<()> {
    let table = table(client)?;
    ensure!(table == expected, "{table}");
    Ok(())
}

fn verbs() -> Result<()> {
    let mut client = Client::connect()?;
    let web = Service::tcp([192, 0, 2, 1], 80, scheduler::RR);
    let direct = Destination::direct([10, 0, 0, 1], 80).weight(3);
    let nat = Destination::masquerade([10, 0, 0, 2], 8080).thresholds(20, 10);
    client.add_service(&web)?;
    client.add_service(&Service::udp(Ipv4Addr::new(192, 0, 2, 1), 53, scheduler::WRR).persistent(300))?;
    client.add_destination(&web.key, &direct)?;
    client.add_destination(&web.key, &nat)?;
    let udp = "UDP 192.0.2.1:53 wrr:\n";
    ensure_table(&mut client, &format!("TCP 192.0.2.1:80 rr: 10.0.0.1:80 3 10.0.0.2:8080 1\n{udp}"))?;
    let read = client.destination_rules(&web.key)?.context("no service")?;
    ensure!(read.contains(&direct) && read.contains(&nat), "{read:?}");

    client.edit_service(&web.scheduler(scheduler::WLC))?;
    client.edit_destination(&web.key, &direct.weight(0))?;
    client.delete_destination(&web.key, &nat.key)?;
    ensure_table(&mut client, &format!("TCP 192.0.2.1:80 wlc: 10.0.0.1:80 0\n{udp}"))?;

    client.zero_service(&web.key)?;
    client.zero()?;
    let entry = client.service(&web.key)?;
    ensure!(entry.statistics.counters == Counters::default(), "{entry:?}");

    client.set_timeouts(&Timeouts::new(901, 0, 302))?;
    let timeouts = client.timeouts()?;
    ensure!((timeouts.tcp, timeouts.tcp_fin, timeouts.udp) == (901, 120, 302), "{timeouts:?}");

    let lo = InterfaceName::new(b"lo").context("a name")?;
    client.start_daemon(&Daemon::new(DaemonRole::Backup, lo, 7))?;
    let daemons = client.daemons()?;
    ensure!(daemons.len() == 1 && daemons[0].role == DaemonRole::Backup && daemons[0].sync_id == 7, "{daemons:?}");
    client.stop_daemon(DaemonRole::Backup)?;
    ensure!(client.daemons()?.is_empty(), "it runs");

    client.delete_service(&web.key)?;
    ensure_table(&mut client, udp)?;
    client.flush()?;
    ensure_table(&mut client, "")
}

fn refusals() -> Result<()> {
    let mut client = Client::connect()?;
    let web = Service::tcp([192, 0, 2, 1], 80, scheduler::RR);
    let none = ServiceKey::udp([192, 0, 2, 1], 80);
    let server = Destination::direct([10, 0, 0, 1], 80);
    client.add_service(&web)?;
    let nowhere = DestinationKey::new([10, 0, 0, 9], 80);
    let unknown = web.scheduler("none-such".parse()?);
    let cases = [
        (client.add_service(&web), Asked::AddService, Errno::EEXIST, "Service already exists"),
        (client.edit_service(&unknown), Asked::EditService, Errno::ENOENT, "Scheduler or persistence engine not found"),
        (client.delete_service(&none), Asked::OneService, Errno::ESRCH, "No such service"),
        (client.zero_service(&none), Asked::OneService, Errno::ESRCH, "No such service"),
        (client.add_destination(&none, &server), Asked::AddDestination, Errno::ESRCH, "Service not defined"),
        (client.edit_destination(&web.key, &server), Asked::Destination, Errno::ENOENT, "No such destination"),
        (client.delete_destination(&web.key, &nowhere), Asked::Destination, Errno::ENOENT, "No such destination"),
        (client.stop_daemon(DaemonRole::Master), Asked::StopDaemon, Errno::ESRCH, "No daemon is running"),
    ];
    for (outcome, asked, errno, text) in cases {
        match outcome {
            Err(Error::Refused(refusal)) => {
                ensure!((refusal.asked, refusal.errno) == (asked, errno), "{text}: {refusal:?}");
                ensure!(refusal.to_string() == text, "{refusal}");
            }
            other => anyhow::bail!("{text}: {other:?}"),
        }
    }
    Ok(())
}
