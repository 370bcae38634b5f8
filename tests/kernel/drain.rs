//! Drains that refuse no client: what `--drain` does to services whose scheduler refuses the clients of servers with weight 0,
//! with real clients, and what it says where it cannot spare them. What a drain looks like is in `terminal`.

use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Child;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use ipvs_client::{Family, Protocol};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::mapping::packets::{First, Sender};
use crate::mapping::{Listed, Random, network, read_until, seed};
use crate::schema::Schema;
use crate::strategies::SCHEDULERS;
use crate::support::{Output, Subject, Trial, in_fresh_namespace, run, succeed, trial};
use crate::terminal::pty::Terminal;
use crate::terminal::{said, started};

const VIP: &str = "192.168.7.7:53";

/// What a trial does.
type Run = fn() -> Result<()>;

/// What is tried, and where.
pub fn subject() -> Subject {
    Subject { trials, ..Subject::named("drain") }
}

fn trials() -> Result<Vec<Trial>> {
    let seed = seed()?;
    let trials: [(&str, Run); _] = [
        ("the flag goes back, however it ends", the_flag_goes_back),
        ("the flag stays as long as it is needed", the_flag_stays),
        ("a drain that was killed is reported", a_killed_drain_is_reported),
        ("everything else of the service stays as it is", nothing_else_changes),
        ("what it costs is said", what_it_costs),
        ("who is refused is named", who_is_refused_is_named),
        ("top spares clients, too", top_spares_clients),
    ];
    let refuse_nobody = trial("no client is refused", move || in_fresh_namespace(|| no_client_is_refused(seed)));
    let others = trials.into_iter().map(|(name, run)| trial(name, move || in_fresh_namespace(run)));
    Ok(others.chain([refuse_nobody]).collect())
}

/// A service with this scheduler, and servers with these weights.
fn service(scheduler: &[&str], weights: &[&str]) -> Result<()> {
    succeed(&[&["-A", "-u", VIP, "-s"], scheduler].concat(), b"")?;
    for (number, weight) in (1..).zip(weights) {
        succeed(&["-a", "-u", VIP, "-r", &format!("10.50.0.{number}"), "-w", weight], b"")?;
    }
    Ok(())
}

/// These clients' first packets; whether each got a server.
fn clients(sender: &Sender, random: &mut Random, count: usize) -> Result<Vec<(SocketAddr, bool)>> {
    let to: SocketAddr = VIP.parse()?;
    let firsts: Vec<First> = (0..count)
        .map(|_| {
            let client = SocketAddr::new(random.client(Family::Ipv4), random.port());
            First { protocol: Protocol::Udp, client, to, mark: 0 }
        })
        .collect();
    firsts.iter().try_for_each(|first| sender.send(first))?;
    let mut listed = Listed::new();
    read_until(&mut listed, |listed| firsts.iter().all(|first| listed.contains_key(&first.name())))?;
    Ok(firsts.iter().map(|first| (first.client, listed.contains_key(&first.name()))).collect())
}

/// The rules, as they are saved.
fn rules() -> Result<String> {
    succeed(&["-S", "-n"], b"")
}

/// A drain of the first server that waits, once it has said that connections are left.
fn waiting(words: &[&str]) -> Result<(Child, thread::JoinHandle<String>)> {
    started(&[&["-d", "-u", VIP, "-r", "10.50.0.1:53"], words].concat(), " connection")
}

fn end(child: &mut Child, signal: Signal) -> Result<()> {
    kill(Pid::from_raw(child.id().try_into()?), signal)?;
    ensure!(child.wait()?.signal() == Some(signal as i32), "it did not end by {signal}");
    Ok(())
}

fn no_client_is_refused(seed: u64) -> Result<()> {
    const CLIENTS: usize = 1000;
    network()?;
    let sender = Sender::new()?;
    let mut random = Random(seed);
    let mut drained = Vec::new();
    for scheduler in SCHEDULERS.into_iter().filter(|scheduler| *scheduler != "none") {
        let weights: Vec<&str> = (0..4).map(|_| random.of(&["1", "2", "3", "40"])).collect();
        if service(&[scheduler], &weights).is_err() {
            // Not every kernel has every scheduler.
            continue;
        }
        let before = rules()?;
        clients(&sender, &mut random, 100)?;
        // One that has connections, so that the drain waits.
        let busy = succeed(&["-L", "-n", "-c", "--count-by", "server"], b"")?;
        let server = busy.lines().find_map(|line| line.split(' ').find(|word| word.ends_with(":53")));
        let server = server.context("no server has a connection")?.to_owned();
        let drain = ["-d", "-u", VIP, "-r", &server, "--drain=600"];
        if scheduler == "dh" {
            let output = run(&drain, b"")?;
            ensure!(output.status == "1" && output.stderr.contains("--force"), "{output:?}");
            ensure!(rules()? == before, "{}", rules()?);
        } else {
            let (mut child, rest) = started(&drain, " connection")?;
            let clients = clients(&sender, &mut random, CLIENTS)?;
            let refused: Vec<_> = clients.into_iter().filter(|(_, served)| !served).map(|(client, _)| client).collect();
            ensure!(
                refused.is_empty(),
                "seed {seed}: {scheduler} {weights:?}: {refused:?} refused while {server} drains"
            );
            end(&mut child, Signal::SIGTERM)?;
            drop(said(rest));
            ensure!(rules()? == before, "seed {seed}: {scheduler}: {before} became {}", rules()?);
            drained.push(scheduler);
        }
        succeed(&["-D", "-u", VIP], b"")?;
    }
    ensure!(drained.contains(&"sh") && drained.contains(&"mh") && drained.len() > 10, "{drained:?}");
    Ok(())
}

fn the_flag_goes_back() -> Result<()> {
    network()?;
    let sender = Sender::new()?;
    let mut random = Random(seed()?);
    for scheduler in ["sh", "mh"] {
        let flag = format!("UDP {VIP}: {scheduler}-fallback");
        service(&[scheduler], &["1", "1"])?;
        clients(&sender, &mut random, 100)?;
        let before = rules()?;
        let goes_back = |text: &str| {
            let set = format!("{flag} is set while servers have weight 0\n");
            let off = format!("{flag} is off again\n");
            ensure!(text.contains(&set) && text.contains(&off), "{scheduler}: {text}");
            ensure!(!rules()?.contains("fallback"), "{}", rules()?);
            Ok(())
        };
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
            let (mut child, rest) = waiting(&["--drain"])?;
            ensure!(rules()?.contains(&format!("-b {scheduler}-fallback")), "{}", rules()?);
            end(&mut child, signal)?;
            goes_back(&said(rest))?;
            ensure!(rules()? == before, "{}", rules()?);
        }
        let late = run(&["-d", "-u", VIP, "-r", "10.50.0.1:53", "--drain=1"], b"")?;
        ensure!(late.status == "1", "{late:?}");
        goes_back(&late.stderr)?;
        // Another program's change.
        let (mut child, rest) = waiting(&["--drain"])?;
        succeed(&["-e", "-u", VIP, "-r", "10.50.0.1:53", "-w", "9"], b"")?;
        ensure!(child.wait()?.code() == Some(1), "its status");
        goes_back(&said(rest))?;
        let (mut child, rest) = waiting(&["--drain"])?;
        succeed(&["-d", "-u", VIP, "-r", "10.50.0.1:53"], b"")?;
        ensure!(child.wait()?.code() == Some(1), "its status");
        goes_back(&said(rest))?;
        // Its own end.
        succeed(&["-a", "-u", VIP, "-r", "10.50.0.1:53"], b"")?;
        clients(&sender, &mut random, 100)?;
        let forced = run(&["-d", "-u", VIP, "-r", "10.50.0.1:53", "--drain=1", "--force"], b"")?;
        ensure!(forced.status == "0" && !rules()?.contains("10.50.0.1"), "{forced:?}");
        goes_back(&forced.stderr)?;
        // Another program has taken it already.
        succeed(&["-a", "-u", VIP, "-r", "10.50.0.1:53"], b"")?;
        clients(&sender, &mut random, 100)?;
        let (mut child, rest) = waiting(&["--drain"])?;
        succeed(&["-E", "-u", VIP, "-s", scheduler], b"")?;
        end(&mut child, Signal::SIGTERM)?;
        let text = said(rest);
        ensure!(!text.contains("off again") && !rules()?.contains("fallback"), "{text}");
        succeed(&["-D", "-u", VIP], b"")?;
    }
    Ok(())
}

fn the_flag_stays() -> Result<()> {
    network()?;
    service(&["sh"], &["1", "1", "1"])?;
    // A server that stays with weight 0 needs it.
    let output = run(&["-e", "-u", VIP, "-r", "10.50.0.1:53", "-w", "0", "--drain"], b"")?;
    let stays = format!(
        "UDP {VIP}: sh-fallback stays set, as 10.50.0.1:53 has weight 0; to take it away later: ipvsadm -E -u {VIP} -s sh\n"
    );
    ensure!(output.status == "0" && output.stderr.contains(&stays), "{output:?}");
    ensure!(rules()?.contains("-b sh-fallback"), "{}", rules()?);
    // It was there before: nothing is set, and nothing taken away.
    let output = run(&["-d", "-u", VIP, "-r", "10.50.0.2:53", "--drain"], b"")?;
    ensure!(output.status == "0" && !output.stderr.contains("fallback"), "{output:?}");
    ensure!(rules()?.contains("-b sh-fallback"), "{}", rules()?);
    // The one with weight 0 goes; the flag is an administrator's now.
    succeed(&["-E", "-u", VIP, "-s", "sh"], b"")?;
    succeed(&["-a", "-u", VIP, "-r", "10.50.0.2:53"], b"")?;
    let output = run(&["-d", "-u", VIP, "-r", "10.50.0.2:53", "--drain"], b"")?;
    ensure!(output.stderr.contains(&stays), "{output:?}");
    let output = run(&["-d", "-u", VIP, "-r", "10.50.0.1:53", "--drain"], b"")?;
    ensure!(output.status == "0" && rules()?.contains("-b sh-fallback"), "{output:?}");
    Ok(())
}

fn a_killed_drain_is_reported() -> Result<()> {
    network()?;
    let sender = Sender::new()?;
    service(&["mh", "-b", "mh-port"], &["1", "1"])?;
    clients(&sender, &mut Random(seed()?), 100)?;
    let (mut child, rest) = waiting(&["--drain"])?;
    ensure!(run(&["-L", "-n"], b"")?.stderr.is_empty(), "a drain that is under way is reported");
    end(&mut child, Signal::SIGKILL)?;
    drop(said(rest));
    let command = format!("-E -u {VIP} -s mh -b mh-port");
    let expected = format!(
        ") did not finish its drain: UDP {VIP} still has mh-fallback, and 10.50.0.1:53 may have weight 0; to take the flag \
         away: ipvsadm-rs {command}\n"
    );
    for _ in 0..2 {
        let output = run(&["-L", "-n"], b"")?;
        ensure!(output.status == "0" && output.stderr.starts_with("process "), "{output:?}");
        ensure!(output.stderr.ends_with(&expected), "{output:?}");
    }
    run(&command.split(' ').collect::<Vec<_>>(), b"")?;
    let output = run(&["-L", "-n"], b"")?;
    ensure!(output.stderr.is_empty(), "it is still reported: {output:?}");
    Ok(())
}

fn nothing_else_changes() -> Result<()> {
    network()?;
    let sender = Sender::new()?;
    let words = ["mh", "-b", "mh-port,flag-3", "-p", "600", "-M", "255.255.255.0", "--pe", "sip"];
    service(&words, &["1", "3"])?;
    let before = rules()?;
    ensure!(before.contains("-p 600 -M 255.255.255.0 --pe sip"), "{before}");
    // The engine takes no packets without a call's number: persistence without it.
    succeed(&["-E", "-u", VIP, "-s", "mh", "-b", "mh-port,flag-3", "-p", "600", "-M", "255.255.255.0"], b"")?;
    clients(&sender, &mut Random(seed()?), 100)?;
    succeed(&[&["-E", "-u", VIP, "-s"], &words[..]].concat(), b"")?;
    let (mut child, rest) = waiting(&["--drain"])?;
    let during = rules()?;
    let expected = before
        .replace("mh-port,flag-3", "mh-fallback,mh-port,flag-3")
        .replace("10.50.0.1:53 -g -w 1", "10.50.0.1:53 -g -w 0");
    ensure!(during == expected, "{during} is not {expected}");
    end(&mut child, Signal::SIGTERM)?;
    drop(said(rest));
    ensure!(rules()? == before, "{}", rules()?);
    Ok(())
}

fn what_it_costs() -> Result<()> {
    network()?;
    let drain = |words: &[&str]| -> Result<Output> {
        run(&[&["-d", "-u", VIP, "-r", "10.50.0.1:53", "--drain=1"], words].concat(), b"")
    };
    let refused = |output: Output, why: &str| {
        let last = "10.50.0.1:53: not drained, as clients would be refused; --force drains it anyway\n";
        let first = format!("10.50.0.1:53: {why}\n");
        ensure!(
            output.status == "1" && output.stderr.starts_with(&first) && output.stderr.ends_with(last),
            "{output:?}"
        );
        Ok(())
    };
    let again = |scheduler: &[&str], weights: &[&str]| {
        drop(run(&["-D", "-u", VIP], b"")?);
        service(scheduler, weights)
    };
    service(&["dh"], &["1", "1", "1", "1"])?;
    refused(drain(&[])?, "the clients of 64 of 256 slots are refused: dh has no fallback")?;
    ensure!(rules()?.contains("10.50.0.1:53 -g -w 1"), "{}", rules()?);
    ensure!(drain(&["--force"])?.status == "0", "--force");
    again(&["sh"], &["1", "1", "1", "1"])?;
    refused(drain(&["--no-fallback"])?, "the clients of 64 of 256 slots are refused: sh-fallback is not set")?;
    ensure!(!drain(&["--no-fallback", "--force"])?.stderr.contains("is set while"), "the flag was set");
    again(&["mh"], &["1", "1", "0"])?;
    let mh = drain(&["--no-fallback"])?;
    ensure!(
        mh.status == "1" && mh.stderr.contains("how many is not known, because 10.50.0.3:53 has weight 0"),
        "{mh:?}"
    );
    for scheduler in ["sh", "mh", "wlc"] {
        again(&[scheduler], &["1", "0"])?;
        refused(drain(&[])?, &format!("no other server of UDP {VIP} is in service: all new clients are refused"))?;
        let whole = run(&["-D", "-u", VIP, "--drain=1"], b"")?;
        ensure!(whole.status == "0" && !whole.stderr.contains("refused"), "{whole:?}");
    }
    // Slots of other servers, where weights are larger than 1.
    again(&["sh"], &["2", "2", "2", "2"])?;
    let moved = drain(&[])?;
    let line = "10.50.0.1:53: the clients of 126 of 256 slots move between other servers: sh counts slots by weight\n";
    ensure!(moved.status == "0" && moved.stderr.starts_with(line), "{moved:?}");
    ensure!(moved.stderr.contains("10.50.0.1:53: with its deletion the clients of "), "{moved:?}");
    again(&["sh"], &["1", "1"])?;
    let edited = run(&["-e", "-u", VIP, "-r", "10.50.0.1:53", "-w", "0", "--drain=1"], b"")?;
    ensure!(edited.status == "0" && !edited.stderr.contains("slots"), "{edited:?}");
    // Whom persistence knows, unless such a template ends with the weight.
    let sender = Sender::new()?;
    again(&["sh", "-p", "600"], &["1", "1"])?;
    clients(&sender, &mut Random(seed()?), 40)?;
    let known = |output: &Output| output.stderr.contains(" that persistence knows can still be sent there\n");
    let persistent = drain(&[])?;
    ensure!(known(&persistent), "{persistent:?}");
    std::fs::write("/proc/sys/net/ipv4/vs/expire_quiescent_template", "1")?;
    let ended = drain(&[])?;
    ensure!(!known(&ended), "{ended:?}");
    std::fs::write("/proc/sys/net/ipv4/vs/expire_quiescent_template", "0")?;
    Ok(())
}

/// By a plain edit at a terminal, by `--check`, by `diff` and by the doctor.
fn who_is_refused_is_named() -> Result<()> {
    network()?;
    service(&["sh"], &["1", "1", "0"])?;
    let edit = ["-e", "-u", VIP, "-r", "10.50.0.1:53", "-w", "0"];
    ensure!(run(&edit, b"")?.stderr.is_empty(), "a hint without a terminal");
    let mut terminal = Terminal::start(24, 250, &edit)?;
    ensure!(terminal.end()? == "0", "its status");
    let hint = format!(
        "sh refuses the clients of 10.50.0.1:53, which has weight 0: sh-fallback is not set; to send them to other \
         servers: ipvsadm-rs -E -u {VIP} -s sh -b sh-fallback"
    );
    ensure!(terminal.screen().contains(&hint), "{}", terminal.screen());
    let named =
        |server: &str| format!("sh refuses the clients of {server}, which has weight 0: sh-fallback is not set\n");
    let saved = rules()?;
    let check = run(&["-R", "--check"], saved.as_bytes())?;
    let expected = format!("<stdin>:2: {}<stdin>:4: {}", named("10.50.0.1:53"), named("10.50.0.3:53"));
    ensure!(check.status == "0" && check.stderr == expected, "{check:?}");
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("rules");
    std::fs::write(&file, &saved)?;
    let file = file.to_str().context("a path")?;
    let diff = run(&["diff", file], b"")?;
    let of_service = |server: &str| format!("UDP {VIP}: {}", named(server));
    ensure!(diff.stderr == of_service("10.50.0.1:53") + &of_service("10.50.0.3:53"), "{diff:?}");
    ensure!(diff.status == "0" && diff.stdout.is_empty(), "{diff:?}");
    let document = Schema::new()?.check("diff", &succeed(&["diff", "--json", file], b"")?)?;
    ensure!(document["refusing"][0]["servers"][1]["address"] == "10.50.0.3", "{document}");
    let doctor = || Schema::new()?.check("doctor", &run(&["doctor", "--role", "director", "--json"], b"")?.stdout);
    let of_check = |document: &Value| {
        let findings = document["findings"].as_array().cloned().unwrap_or_default();
        findings.into_iter().filter(|finding| finding["id"] == "D28").collect::<Vec<_>>()
    };
    let found = of_check(&doctor()?);
    ensure!(found.len() == 2 && found.iter().all(|finding| finding["state"] == "fail"), "{found:?}");
    let fact = format!("UDP {VIP}: {}", named("10.50.0.1:53").trim_end());
    let fix = format!("ipvsadm -E -u {VIP} -s sh -b sh-fallback");
    ensure!(found[1]["fact"] == fact.as_str() && found[1]["fix"] == fix.as_str(), "{found:?}");
    // A server that is added comes first.
    let mut terminal = Terminal::start(24, 250, &["-a", "-u", VIP, "-r", "10.50.0.0:53"])?;
    ensure!(terminal.end()? == "0", "its status");
    let head = "sh fills its table from 10.50.0.0:53 on now";
    ensure!(terminal.screen().contains(head), "{}", terminal.screen());
    succeed(&["-d", "-u", VIP, "-r", "10.50.0.0:53"], b"")?;
    // So it does in rules that are restored; without a terminal there is no mail.
    let rule = format!("-a -u {VIP} -r 10.50.0.0:53\n");
    succeed(&["-R"], rule.as_bytes())?;
    succeed(&["-d", "-u", VIP, "-r", "10.50.0.0:53"], b"")?;
    let more = folder.path().join("more");
    std::fs::write(&more, &rule)?;
    let mut terminal = Terminal::start(24, 250, &["-R", "--file", more.to_str().context("a path")?])?;
    ensure!(terminal.end()? == "0" && terminal.screen().contains(head), "{}", terminal.screen());
    let command = "ipvsadm-rs -S -n | ipvsadm-rs -R --replace --reorder";
    ensure!(terminal.screen().contains(command), "{}", terminal.screen());
    let whole = folder.path().join("whole");
    std::fs::write(&whole, rules()?)?;
    let whole = whole.to_str().context("a path")?;
    let words = ["-R", "--replace", "--file", whole];
    succeed(&words, b"")?;
    let mut terminal = Terminal::start(24, 250, &words)?;
    let hint = format!(
        "{whole}: the servers of UDP {VIP} are not in the order of their addresses; --reorder puts them in order"
    );
    ensure!(terminal.end()? == "0" && terminal.screen().contains(&hint), "{}", terminal.screen());
    let saved = rules()?;
    ensure!(run(&["-R", "--replace", "--reorder"], saved.as_bytes())?.status == "0", "--reorder");
    let mut terminal = Terminal::start(24, 250, &words)?;
    ensure!(terminal.end()? == "0" && !terminal.screen().contains("order"), "{}", terminal.screen());
    succeed(&["-d", "-u", VIP, "-r", "10.50.0.0:53"], b"")?;
    // With the flag there is nothing to say.
    succeed(&["-E", "-u", VIP, "-s", "sh", "-b", "sh-fallback"], b"")?;
    ensure!(succeed(&["-R", "--check"], rules()?.as_bytes())?.is_empty(), "--check");
    ensure!(run(&["diff", file], b"")?.stderr.is_empty(), "diff");
    let found = of_check(&doctor()?);
    ensure!(found.len() == 1 && found[0]["state"] == "ok", "{found:?}");
    Ok(())
}

fn top_spares_clients() -> Result<()> {
    network()?;
    let sender = Sender::new()?;
    service(&["sh"], &["1", "1"])?;
    clients(&sender, &mut Random(seed()?), 100)?;
    let before = rules()?;
    let mut top = Terminal::start(24, 100, &["top", "--interval", "1"])?;
    top.wait_for("the table", |screen| screen.contains("10.50.0.1:53"))?;
    top.write(b"jdy")?;
    top.wait_for("the drain", |screen| screen.contains("Draining 10.50.0.1:53: "))?;
    ensure!(rules()?.contains("-b sh-fallback") && rules()?.contains("10.50.0.1:53 -g -w 0"), "{}", rules()?);
    // The other one is the last: no server would be left.
    top.write(b"jdy")?;
    top.wait_for("the refusal", |screen| screen.contains("no other server of UDP 192.168.7.7:53 is in service"))?;
    top.write(b"qy")?;
    ensure!(top.end()? == "0", "its status");
    let off = format!("UDP {VIP}: sh-fallback is off again");
    ensure!(top.screen().contains(&off) && rules()? == before, "{}: {}", top.screen(), rules()?);
    Ok(())
}
