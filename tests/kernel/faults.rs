//! What comes of a netlink socket that fails: an error that says so, or none where trying again helps; and never a table
//! that is not what it is said to be. The kernel behind it is a real one.

use std::io;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use ipvs_client::{Change, Client, Error, Family, Refusal, Service, ServiceEntry, ServiceKey, Step, scheduler};
use ipvsadm_rs::host::module;
use netlink_exchange::Error as Cause;
use netlink_exchange::{Netlink, Transport, system_message};
use nix::errno::Errno;

use crate::strategies::rules_of;
use crate::support::{Guest, Subject, Trial, in_fresh_namespace, run, succeed, trial};

/// What a trial does.
type Run = fn() -> Result<()>;

/// What is tried, and where.
pub fn subject() -> Subject {
    Subject { guest: || Guest { own: true, ..Guest::default() }, trials, ..Subject::named("faults") }
}

fn trials() -> Result<Vec<Trial>> {
    let trials: [(&str, Run); _] = [
        ("interrupted system calls are made again", interrupted),
        ("a dump that changes is read again", a_dump_that_changes),
        ("a dump that never settles is reported", a_dump_that_never_settles),
        ("a list that shifts between its parts is read again", a_list_that_shifts),
        ("a failing receive is reported, and the client goes on", a_failing_receive),
        ("a failing send is reported, and nothing was changed", a_failing_send),
        ("a send of half the bytes is reported", half_a_send),
        ("cut and spoilt replies are reported", cut_replies),
        ("answers to other questions are passed over", answers_to_others),
        ("answers that go missing are reported", missing_answers),
        ("a small receive buffer loses no refusal", a_small_receive_buffer),
        ("a module that goes away is reported", a_module_that_goes_away),
    ];
    Ok(trials
        .into_iter()
        .map(|(name, run)| {
            trial(name, move || {
                let run_and_clear = || {
                    let outcome = run();
                    // Services keep the module busy.
                    Client::connect()?.change(&Change::Flush)?;
                    outcome
                };
                in_fresh_namespace(run_and_clear)
            })
        })
        .collect())
}

/// A netlink socket with faults: what a send or receive comes to is for these to say, who know its number.
struct Faulty<S, R> {
    netlink: Netlink,
    sends: u32,
    receives: u32,
    send: S,
    receive: R,
}

impl<S, R> Transport for Faulty<S, R>
where
    S: FnMut(u32, &[u8]) -> Option<io::Result<usize>> + Send,
    R: FnMut(u32, &mut [u8], &mut dyn FnMut(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> + Send,
{
    fn port(&self) -> u32 {
        self.netlink.port()
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sends += 1;
        (self.send)(self.sends, bytes).unwrap_or_else(|| self.netlink.send(bytes))
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receives += 1;
        (self.receive)(self.receives, buffer, &mut |buffer| self.netlink.receive(buffer))
    }
}

type Receive<'r> = &'r mut dyn FnMut(&mut [u8]) -> io::Result<usize>;

fn client(
    send: impl FnMut(u32, &[u8]) -> Option<io::Result<usize>> + Send + 'static,
    receive: impl FnMut(u32, &mut [u8], Receive) -> io::Result<usize> + Send + 'static,
) -> Result<Client> {
    let transport = Faulty { netlink: Netlink::generic()?, sends: 0, receives: 0, send, receive };
    Client::over(Box::new(transport))?.context("no IPVS")
}

/// Sending works.
fn sent(_: u32, _: &[u8]) -> Option<io::Result<usize>> {
    None
}

fn failed(errno: Errno) -> io::Result<usize> {
    Err(errno.into())
}

/// The flags of a message that stands at the start of the buffer (`nlmsg_flags`).
const FLAGS: usize = 6;
const DUMP_INTERRUPTED: u8 = 0x10;
/// Its sequence number.
const SEQUENCE: usize = 8;
/// The receives that connecting takes.
const CONNECTED: u32 = 1;

fn mark(mark: u32) -> Service {
    Service::mark(mark, Family::Ipv4, scheduler::RR)
}

fn fill(client: &mut Client, marks: u32) -> Result<()> {
    for number in 1..=marks {
        client.change(&Change::AddService(mark(number)))?;
    }
    Ok(())
}

fn ensure_marks(marks: u32) -> Result<()> {
    let there = rules_of(&Client::connect()?.table()?);
    ensure!(there.len() == marks as usize, "{} services, not {marks}", there.len());
    Ok(())
}

fn interrupted() -> Result<()> {
    let mut receives = 0;
    let mut sends = 0;
    let mut client = client(
        move |_, _| {
            sends += 1;
            (sends % 2 == 1).then(|| failed(Errno::EINTR))
        },
        move |_, buffer, receive| {
            receives += 1;
            if receives % 3 != 0 { failed(Errno::EINTR) } else { receive(buffer) }
        },
    )?;
    fill(&mut client, 20)?;
    ensure!(client.table()?.services.len() == 20, "services are missing");
    ensure_marks(20)
}

/// Sets the flag by which the kernel says that the table changed, this many times.
fn changing(times: u32) -> Result<Client> {
    let mut left = times;
    client(sent, move |number, buffer, receive| {
        let length = receive(buffer)?;
        if number > CONNECTED && left > 0 {
            left -= 1;
            buffer[FLAGS] |= DUMP_INTERRUPTED;
        }
        Ok(length)
    })
}

/// The services as they are passed on, without being held.
fn passed_on(client: &mut Client) -> Result<Vec<ServiceEntry>> {
    let mut services = Vec::new();
    client.each_service(|step| match step {
        Step::Begin => services.clear(),
        Step::Entry(entry) => services.push(entry),
    })?;
    Ok(services)
}

fn a_dump_that_changes() -> Result<()> {
    fill(&mut Client::connect()?, 20)?;
    for services in [changing(5)?.services()?, passed_on(&mut changing(5)?)?] {
        ensure!(services.len() == 20, "{} services", services.len());
    }
    Ok(())
}

fn a_dump_that_never_settles() -> Result<()> {
    fill(&mut Client::connect()?, 20)?;
    let mut client = changing(u32::MAX)?;
    match client.services() {
        Err(error @ Error::Unsettled) => ensure!(!error.to_string().is_empty(), "it says nothing"),
        other => bail!("{other:?}"),
    }
    match client.each_service(|_| {}) {
        Err(Error::Unsettled) => {}
        other => bail!("{other:?}"),
    }
    Ok(())
}

/// The kernel counts its way to the next part. What it has given already goes away between two parts, so that it passes one
/// service over; and in the second round comes back before the end, so that nothing is missing in number.
fn a_list_that_shifts() -> Result<()> {
    const SERVICES: u32 = 100;
    let mut other = Client::connect()?;
    fill(&mut other, SERVICES)?;
    for (comes_back, passed) in [(false, false), (true, false), (false, true), (true, true)] {
        if other.services()?.len() < SERVICES as usize {
            other.change(&Change::Flush)?;
            fill(&mut other, SERVICES)?;
        }
        let first = other.services()?.first().context("no services")?.service.key;
        let ServiceKey::Mark { mark: number, .. } = first else { bail!("{first:?}") };
        let mut other = Client::connect()?;
        let mut parts = 0;
        let mut client = client(sent, move |receive_number, buffer, receive| {
            parts += u32::from(receive_number > CONNECTED);
            let outcome = match parts {
                3 => other.change(&Change::DeleteService(first)),
                5 if comes_back => other.change(&Change::AddService(mark(number))),
                _ => Ok(()),
            };
            outcome.map_err(io::Error::other)?;
            receive(buffer)
        })?;
        let read = if passed { passed_on(&mut client)? } else { client.services()? };
        let mut read: Vec<ServiceKey> = read.iter().map(|entry| entry.service.key).collect();
        let mut there: Vec<ServiceKey> = Client::connect()?.services()?.iter().map(|entry| entry.service.key).collect();
        read.sort_unstable();
        there.sort_unstable();
        ensure!(read == there, "{} services were read, {} are there", read.len(), there.len());
        ensure!(there.contains(&first) == comes_back, "nothing was changed in that time");
    }
    Ok(())
}

fn a_failing_receive() -> Result<()> {
    fill(&mut Client::connect()?, 20)?;
    for errno in [Errno::ENOBUFS, Errno::ENOMEM, Errno::EBADF, Errno::EIO] {
        let mut times = 0;
        let mut client = client(sent, move |number, buffer, receive| {
            times += u32::from(number > CONNECTED);
            if times == 1 { failed(errno) } else { receive(buffer) }
        })?;
        match client.services() {
            Err(error @ Error::Netlink(Cause::Socket { .. })) => {
                let text = error.to_string();
                ensure!(text == format!("netlink receive: {}", system_message(&errno.into())), "{text}");
            }
            other => bail!("{errno}: {:?}", other.map(|services| services.len())),
        }
        // What is left of that answer is not taken for the next one.
        let services = client.services()?;
        ensure!(services.len() == 20, "{} services after {errno}", services.len());
    }
    Ok(())
}

fn a_failing_send() -> Result<()> {
    for errno in [Errno::ENOBUFS, Errno::ECONNREFUSED, Errno::EBADF] {
        let mut client =
            client(move |number, _| (number > 1).then(|| failed(errno)), |_, buffer, receive| receive(buffer))?;
        let outcome = client.change(&Change::AddService(mark(1)));
        ensure!(matches!(outcome, Err(Error::Netlink(Cause::Socket { doing: "netlink send", .. }))), "{outcome:?}");
        let mut refused = 0;
        let mut batch = client.batch(|_: u32, _: Refusal| refused += 1)?;
        for number in 1..=10 {
            batch.push(number, &Change::AddService(mark(number)))?;
        }
        let outcome = batch.finish();
        ensure!(matches!(outcome, Err(Error::Netlink(Cause::Socket { doing: "netlink send", .. }))), "{outcome:?}");
        ensure!(refused == 0, "what was not sent was not refused");
    }
    ensure_marks(0)
}

fn half_a_send() -> Result<()> {
    let mut client =
        client(|number, bytes| (number > 1).then_some(Ok(bytes.len() / 2)), |_, buffer, receive| receive(buffer))?;
    let outcome = client.change(&Change::AddService(mark(1)));
    ensure!(matches!(outcome, Err(Error::Netlink(Cause::Socket { doing: "netlink send", .. }))), "{outcome:?}");
    ensure_marks(0)
}

fn cut_replies() -> Result<()> {
    fill(&mut Client::connect()?, 20)?;
    // Longer than the buffer; shorter than it says; not even a header; and with an impossible length.
    type Spoil = fn(&mut [u8], usize) -> usize;
    let spoils: [Spoil; 4] = [
        |buffer, _| buffer.len() + 1,
        |_, length| length - 1,
        |_, _| 3,
        |buffer, length| {
            buffer[..4].copy_from_slice(&3_u32.to_ne_bytes());
            length
        },
    ];
    for (at, spoil) in spoils.into_iter().enumerate() {
        let mut client = client(sent, move |number, buffer, receive| {
            let length = receive(buffer)?;
            Ok(if number == CONNECTED + 1 { spoil(buffer, length) } else { length })
        })?;
        let outcome = client.services();
        ensure!(
            matches!(outcome, Err(Error::Netlink(Cause::Wire(_)))),
            "{at}: {:?}",
            outcome.map(|services| services.len())
        );
        ensure!(client.services()?.len() == 20, "{at}: services are missing afterwards");
    }
    Ok(())
}

fn answers_to_others() -> Result<()> {
    fill(&mut Client::connect()?, 20)?;
    // Every part comes twice, the first time as an answer to some other question.
    let mut kept: Option<Vec<u8>> = None;
    let mut client = client(sent, move |number, buffer, receive| {
        if let Some(part) = kept.take() {
            buffer[..part.len()].copy_from_slice(&part);
            return Ok(part.len());
        }
        let length = receive(buffer)?;
        if number > CONNECTED {
            kept = Some(buffer[..length].to_vec());
            let mut at = 0;
            while at + 16 <= length {
                let of_message = u32::from_ne_bytes([buffer[at], buffer[at + 1], buffer[at + 2], buffer[at + 3]]);
                buffer[at + SEQUENCE] ^= 0x80;
                at += (of_message as usize).next_multiple_of(4).max(16);
            }
        }
        Ok(length)
    })?;
    let services = client.services()?;
    ensure!(services.len() == 20, "{} services", services.len());
    Ok(())
}

fn missing_answers() -> Result<()> {
    let mut client = client(
        sent,
        |number, buffer, receive| if number > CONNECTED { failed(Errno::EAGAIN) } else { receive(buffer) },
    )?;
    let outcome = client.services();
    ensure!(matches!(outcome, Err(Error::Netlink(Cause::NoAnswer))), "{outcome:?}");
    let outcome = client.change(&Change::AddService(mark(1)));
    ensure!(matches!(outcome, Err(Error::Netlink(Cause::NoAnswer))), "{outcome:?}");
    let mut batch = client.batch(|_: (), _: Refusal| ())?;
    batch.push((), &Change::AddService(mark(2)))?;
    let outcome = batch.finish();
    ensure!(matches!(outcome, Err(Error::Netlink(Cause::NoAnswer))), "{outcome:?}");
    Ok(())
}

/// Between a question and the next.
/// Each refusal takes a part of the buffer, and what there is no room for is lost.
fn a_small_receive_buffer() -> Result<()> {
    const REFUSED: u32 = 700;
    let set = |value: &str| -> Result<String> {
        // The setting is that of all namespaces, and seen in the first.
        let script = format!("cd /proc/sys/net/core && cat rmem_max && echo {value} >rmem_max");
        let output = Command::new("nsenter").args(["--net=/proc/1/ns/net", "sh", "-c", &script]).output()?;
        ensure!(output.status.success(), "{output:?}");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let before = set("2304")?;
    let outcome = with_little_room(REFUSED);
    set(&before)?;
    outcome
}

fn with_little_room(refused: u32) -> Result<()> {
    fill(&mut Client::connect()?, refused)?;
    let table = succeed(&["-S", "-n"], b"")?;
    // Every line of these is refused but the last.
    let again: String = (1..=refused).map(|mark| format!("-A -f {mark} -s rr\n")).collect();
    let output = run(&["-R", "--all-errors"], format!("{again}-A -f {} -s rr\n", refused + 1).as_bytes())?;
    let told = output.stderr.lines().filter(|line| line.ends_with(": Service already exists")).count();
    ensure!(told == refused as usize && output.stderr.lines().count() == told, "{told} are told: {output:?}");
    ensure!(output.status == "255", "{output:?}");
    ensure_marks(refused + 1)?;
    succeed(&["-D", "-f", &(refused + 1).to_string()], b"")?;
    let wanted: String = (1..=refused).map(|mark| format!("-A -f {mark} -s nosuch\n")).collect();
    let output = run(&["-R", "--replace"], wanted.as_bytes())?;
    ensure!(output.stderr.starts_with("<stdin>:1: Scheduler or persistence engine not found\n"), "{output:?}");
    ensure!(output.stderr.ends_with("<stdin>: the table is as it was before\n"), "{output:?}");
    ensure!(succeed(&["-S", "-n"], b"")? == table, "the table is another");
    let output =
        run(&["-R", "--replace", "--keep-going"], b"-A -f 1 -s rr\n-A -f 1000000 -s nosuch\n-A -f 1000001 -s rr\n")?;
    ensure!(output.status == "3", "{output:?}");
    ensure!(succeed(&["-S", "-n"], b"")? == format!("{table}-A -f 1000001 -s rr\n"), "what is good is not loaded");
    Ok(())
}

fn a_module_that_goes_away() -> Result<()> {
    let mut client = Client::connect()?;
    ensure!(client.services()?.is_empty(), "a fresh table has services");
    let lines = std::fs::read_to_string("/proc/modules")?;
    let of_ipvs = lines.lines().filter_map(|line| line.split(' ').next()).filter(|name| name.starts_with("ip_vs_"));
    let status = Command::new("modprobe").arg("-ra").args(of_ipvs).arg("ip_vs").status()?;
    ensure!(status.success(), "modprobe -r: {status}");
    let error = match client.services() {
        Err(error) => error.to_string(),
        Ok(services) => bail!("{} services without IPVS", services.len()),
    };
    ensure!(error == "IPVS is gone: its module was unloaded", "{error}");
    // And the program loads it again.
    fill(&mut module::connect()?, 3)?;
    ensure_marks(3)
}
