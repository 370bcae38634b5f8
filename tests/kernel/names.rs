//! Names of hosts on a real kernel: what they mean, beside the original; who is asked, how often and for how long; and that
//! nothing of the caller's has a part in it. Each trial has an /etc, a /run and network namespaces of its own, and name
//! servers that do what the trial wants.

mod environment;
mod server;

use std::ffi::OsStr;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::sched::{CloneFlags, unshare};

use crate::support::{self, Invocation, Links, Subject, Trial, original, ours, trial};
use server::{ADDRESS, IPV4, IPV6, NAME, Question, Server, address_answer, answer, label_name};

/// What a trial does.
type Run = fn() -> Result<()>;

/// What is tried, and where.
pub fn subject() -> Subject {
    Subject { trials, ..Subject::named("names") }
}

fn trials() -> Result<Vec<Trial>> {
    let trials: [(&str, Run); _] = [
        ("mean what they mean to the original", names_mean_the_same),
        ("a director is not its own server", a_director_is_not_its_own_server),
        ("from any caller", any_caller),
        ("what only the C library knows", the_library_is_asked),
        ("all of a file at once, each once", all_at_once),
        ("name servers that are dead", dead_servers),
        ("name servers that fail", failing_servers),
        ("answers that are hostile", hostile_answers),
        ("answers that are long", long_answers),
        ("few file descriptors", few_file_descriptors),
        ("in listings: those of the original", listings_have_the_same_names),
        ("in listings: of connections", connections_have_the_same_names),
        ("in listings: waited for together, and not for ever", listings_do_not_wait),
        ("in listings: none does harm", names_do_no_harm),
        ("no variable of the environment changes what is done", environment::changes_nothing),
    ];
    Ok(trials.into_iter().map(|(name, run)| trial(name, move || alone(run))).collect())
}

/// Runs a trial with an /etc and a /run of its own, in a network namespace.
fn alone(run: Run) -> Result<()> {
    thread::scope(|scope| {
        let trial = scope.spawn(|| {
            support::private_mounts()?;
            sh("mount -t tmpfs -o mode=755 tmpfs /etc; mount -t tmpfs -o mode=755 tmpfs /run")?;
            fs::write("/etc/services", "http 80/tcp www\nhttp-alt 8080/tcp\n")?;
            set(HOSTS, "hosts: files dns\n", RESOLVER)?;
            support::in_fresh_namespace(run)
        });
        trial.join().map_err(|_| anyhow!("the test panicked"))?
    })
}

fn sh(script: &str) -> Result<()> {
    let status = Command::new("sh").args(["-ec", script]).stdin(Stdio::null()).status().context("sh")?;
    ensure!(status.success(), "{script}: {status}");
    Ok(())
}

const HOSTS: &str = "127.0.0.1 localhost\n::1 ip6-localhost\n10.0.0.9 Files.Example alias\n10.0.0.1 files.example\n\
                     ::ffff:10.0.0.7 mapped.example\n2001:db8::6 six-in-files.example\n10.0.0.44 255 1.2.3.444\n";
const RESOLVER: &str = "nameserver 127.0.0.53\noptions timeout:1 attempts:1\n";

/// Sets up how names are looked up.
fn set(hosts: &str, switch: &str, resolver: &str) -> Result<()> {
    fs::write("/etc/hosts", hosts)?;
    fs::write("/etc/nsswitch.conf", switch)?;
    fs::write("/etc/resolv.conf", resolver)?;
    Ok(())
}

/// Names and addresses, in an order that no rule would give them.
fn usual(question: &Question) -> Vec<Vec<u8>> {
    let ipv4 = |addresses: &[[u8; 4]]| vec![address_answer(question, addresses)];
    vec![match (question.name.as_str(), question.kind) {
        ("multi.example" | "multi.a.example", IPV4) => {
            return ipv4(&[[10, 0, 0, 9], [192, 168, 7, 7], [10, 0, 0, 1], [127, 0, 0, 5]]);
        }
        ("alias.example", IPV4) => {
            let alias = (label_name("alias.example"), 5, label_name("multi.example"));
            let address = (label_name("multi.example"), IPV4, vec![10, 0, 0, 9]);
            answer(question, 0, &[alias, address])
        }
        ("both.example", IPV4) => return ipv4(&[[10, 0, 0, 5]]),
        ("short.b.example" | "short", IPV4) => return ipv4(&[[10, 0, 0, 3]]),
        ("both.example" | "six.example", IPV6) => {
            let address = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[6]].concat();
            answer(question, 0, &[(label_name(&question.name), IPV6, address)])
        }
        ("six.example", _) => answer(question, 0, &[]),
        (name, NAME) if name.ends_with(".0.0.10.in-addr.arpa") => {
            let host = name.split('.').next().unwrap_or_default();
            answer(question, 0, &[(label_name(name), NAME, label_name(&format!("host-{host}.example")))])
        }
        _ => answer(question, 3, &[]),
    }]
}

/// The kernel's lines of services in this network namespace.
fn services() -> Result<Vec<String>> {
    let text = fs::read_to_string("/proc/thread-self/net/ip_vs")?;
    Ok(text.lines().skip(3).map(str::to_owned).collect())
}

fn run_original(words: &[&str]) -> Result<String> {
    let output = Invocation::of(words).run(&original()?)?;
    ensure!(output.status == "0" && output.stderr.is_empty(), "{words:?}: {output:?}");
    Ok(output.stdout)
}

/// Runs the program under test, which must succeed and print nothing on standard error.
fn succeed(words: &[&str]) -> Result<String> {
    support::succeed(words, b"")
}

/// A service that the original adds by this name is one that ours deletes by it. Where that finds no address, ours says why
/// in a second line.
fn is_the_same(name: &str) -> Result<()> {
    let service = format!("{name}:80");
    let theirs = Invocation::of(&["-A", "-t", &service]).run(&original()?)?;
    let added = services()?;
    let mine = Invocation::of(&["-D", "-t", &service]).run(&ours())?;
    let left = services()?;
    ensure!(left.is_empty(), "{name}: the original added {added:?}, ours left {left:?}: {mine:?}");
    ensure!(theirs.status == mine.status && theirs.stdout == mine.stdout, "{name}: {theirs:?}, ours: {mine:?}");
    let reason = mine.stderr.strip_prefix(&theirs.stderr).with_context(|| format!("{name}: {mine:?}"))?;
    let right =
        theirs.status == "0" || reason.starts_with(&format!("could not resolve `{name}': ")) || is_not_a_name(name);
    ensure!(right && (theirs.status != "0" || reason.is_empty()), "{name}: {mine:?}");
    Ok(())
}

/// Whether this is more likely meant as something else.
fn is_not_a_name(name: &str) -> bool {
    name.starts_with('-') || name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

fn names_mean_the_same() -> Result<()> {
    let _server = Server::start(ADDRESS, usual)?;
    // Addresses near which a resolver might think others are.
    Links::new()?.add_dummy("near")?;
    Links::new()?.add_address("near", Ipv4Addr::new(10, 0, 0, 1).into(), 24)?;
    Links::new()?.add_address("near", Ipv4Addr::new(192, 168, 7, 1).into(), 24)?;
    let usual = "hosts: files dns\n";
    let resolver = |text: &str| format!("{RESOLVER}{text}\n");
    let machines = [
        (usual, RESOLVER.to_owned()),
        (usual, resolver("search a.example b.example")),
        (usual, resolver("domain b.example\noptions ndots:2")),
        (usual, resolver("search b.example .")),
        (usual, resolver("search a.example\ndomain b.example\noptions ndots:0 rotate")),
        (usual, resolver("sortlist 192.168.7.0")),
        (usual, resolver("sortlist 10.0.0.1/255.255.255.255 10.0.0.9/255.255.255.0")),
        (usual, resolver("options use-vc")),
        ("", RESOLVER.to_owned()),
        ("passwd: files\n", RESOLVER.to_owned()),
        ("hosts: files\n hosts :\tdns files # and no more\n", RESOLVER.to_owned()),
        ("hosts: files\n", RESOLVER.to_owned()),
        ("hosts: dns\n", RESOLVER.to_owned()),
        ("hosts: files [NOTFOUND=return] dns\n", RESOLVER.to_owned()),
        ("hosts: dns [!UNAVAIL=return] files\n", RESOLVER.to_owned()),
        ("hosts: dns [!UNAVAIL=return] files\n", "nameserver 127.0.0.54\n".to_owned()),
        // These are the C library's own.
        ("hosts: nosuch files dns\n", RESOLVER.to_owned()),
        ("hosts: files nosuch [NOTFOUND=continue] dns\n", RESOLVER.to_owned()),
        ("hosts: files [bogus=return]\n", RESOLVER.to_owned()),
    ];
    let names = [
        "multi.example",
        "multi",
        "short",
        "both.example",
        "files.example",
        "none",
        "alias",
        "MULTI.example",
        "multi.example.",
        "alias.example",
        "none.example",
        "FILES.EXAMPLE",
        "files.example.",
        "localhost",
        "ip6-localhost",
        "mapped.example",
        "255",
        "1.2.3.444",
        "under_score.example",
        "-dash.example",
        "a..b",
    ];
    for (number, (switch, resolver)) in machines.iter().enumerate() {
        set(HOSTS, switch, resolver)?;
        // All of them once with sources that are ours, and once with others.
        let all = number == 0 || *switch == "hosts: nosuch files dns\n";
        for name in names.iter().take(if all { names.len() } else { 7 }) {
            is_the_same(name).with_context(|| format!("{switch}{resolver}"))?;
        }
    }
    // The files need not be there.
    for file in ["/etc/nsswitch.conf", "/etc/hosts", "/etc/resolv.conf"] {
        set(HOSTS, "hosts: files dns\n", RESOLVER)?;
        fs::remove_file(file)?;
        for name in ["multi.example", "files.example", "none.example"] {
            is_the_same(name).with_context(|| format!("without {file}"))?;
        }
    }
    // This machine's domain is searched where no other is given.
    set(HOSTS, "hosts: files dns\n", "nameserver 127.0.0.53\n")?;
    let in_domain = thread::scope(|scope| {
        let work = || {
            unshare(CloneFlags::CLONE_NEWUTS)?;
            fs::write("/proc/sys/kernel/hostname", "director.b.example")?;
            is_the_same("short")
        };
        scope.spawn(work).join().map_err(|_| anyhow!("the test panicked"))?
    });
    in_domain?;
    // The C library crashes where it is given no source at all.
    set(HOSTS, "hosts:\n", RESOLVER)?;
    let output = support::run(&["-A", "-t", "files.example:80"], b"")?;
    ensure!(output.status == "2" && output.stderr.ends_with("there is no such host\n"), "{output:?}");
    // What the original does not take: a host may have only an IPv6 address.
    for (name, switch) in [
        ("six.example", "hosts: files dns\n"),
        ("six-in-files.example", "hosts: files dns\n"),
        ("six.example", "hosts: nosuch files dns\n"),
        ("six-in-files.example", "hosts: nosuch files dns\n"),
    ] {
        set(HOSTS, switch, RESOLVER)?;
        succeed(&["-A", "-t", &format!("{name}:80")])?;
        let rules = run_original(&["-S", "-n"])?;
        ensure!(rules == "-A -t [2001:db8::6]:80 -s wlc\n", "{name}: {rules}");
        run_original(&["-C"])?;
    }
    Ok(())
}

fn a_director_is_not_its_own_server() -> Result<()> {
    let _server = Server::start(ADDRESS, usual)?;
    Links::new()?.add_dummy("near")?;
    Links::new()?.add_address("near", Ipv4Addr::new(10, 0, 0, 1).into(), 24)?;
    let service = ["-t", "20.20.20.20:80"];
    for name in ["multi.example", "files.example"] {
        run_original(&["-C"])?;
        succeed(&["-A", service[0], service[1], "-s", "rr"])?;
        let server = ["-r", &format!("{name}:80"), "-m"];
        succeed(&[&["-a"][..], &service, &server].concat())?;
        succeed(&[&["-a"][..], &service, &["-r", "10.0.0.1:80", "-m"]].concat())?;
        let rules = succeed(&["-S", "-n"])?;
        ensure!(rules.contains("-r 10.0.0.9:80 -m -w 1\n") && rules.contains("-r 10.0.0.1:80 -m"), "{rules}");
        // And this does not take the other one away.
        succeed(&[&["-d"][..], &service, &server[..2]].concat())?;
        let rules = succeed(&["-S", "-n"])?;
        ensure!(!rules.contains("10.0.0.9") && rules.contains("-r 10.0.0.1:80 -m"), "{rules}");
    }
    Ok(())
}

/// A folder with a program of each of these names, which notes that it was run and answers 6.6.6.6.
fn evil_folder(names: &[&str]) -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    let script = format!("#!/bin/sh\necho $0 $* >>{}/run\necho 6.6.6.6 evil.example\n", folder.path().display());
    for name in names {
        let path = folder.path().join(name);
        fs::write(&path, &script)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(folder)
}

fn any_caller() -> Result<()> {
    let server = Server::start(ADDRESS, |question| match question.name.as_str() {
        "evil.example" | "web.evil.example" | "multi.example.evil.example" => {
            vec![address_answer(question, &[[6, 6, 6, 6]])]
        }
        "web.example" if question.kind == IPV4 => vec![address_answer(question, &[[10, 0, 0, 8], [10, 0, 0, 2]])],
        "web.example" => vec![answer(question, 0, &[])],
        _ => usual(question),
    })?;
    let folder = evil_folder(&["getent"])?;
    let aliases = folder.path().join("aliases");
    fs::write(&aliases, "web evil.example\nmulti evil.example\n")?;
    let evil_path = format!("{}:/usr/bin", folder.path().display());
    let program = ours();
    let callers: [(&str, &[(&str, &OsStr)]); _] = [
        ("no variables", &[]),
        ("administrators' PATH", &[("PATH", "/sbin:/usr/sbin".as_ref())]),
        ("a getent in PATH", &[("PATH", evil_path.as_ref())]),
        ("LOCALDOMAIN", &[("LOCALDOMAIN", "evil.example".as_ref())]),
        ("RES_OPTIONS", &[("RES_OPTIONS", "ndots:9 attempts:1 use-vc".as_ref())]),
        ("HOSTALIASES", &[("HOSTALIASES", aliases.as_ref())]),
        ("RESOLV_OVERRIDE_TRIM_DOMAINS", &[("RESOLV_OVERRIDE_TRIM_DOMAINS", ".example".as_ref())]),
    ];
    let search = format!("{RESOLVER}search example\n");
    for switch in ["hosts: files dns\n", "hosts: nosuch files dns\n"] {
        set(HOSTS, switch, &search)?;
        for (caller, variables) in callers {
            for child in ["exec \"$@\"", "trap '' CHLD; exec \"$@\"", "ulimit -n 12; exec \"$@\""] {
                run_original(&["-C"])?;
                // Other shells do not hand on that SIGCHLD is ignored.
                let mut command = Command::new("/bin/bash");
                command.args(["-c", child, "bash"]).arg(&program).args(["-A", "-t", "web:80"]).env_clear();
                command.envs(variables.iter().copied()).stdin(Stdio::null());
                let output = command.output()?;
                ensure!(output.status.success() && output.stderr.is_empty(), "{caller}, {child}: {output:?}");
                let rules = run_original(&["-S", "-n"])?;
                ensure!(rules == "-A -t 10.0.0.8:80 -s wlc\n", "{switch}{caller}, {child}: {rules}");
            }
        }
    }
    // With so many dots wanted, the domain that is searched would come first.
    set(HOSTS, "hosts: files dns\n", &format!("{RESOLVER}search evil.example\n"))?;
    run_original(&["-C"])?;
    let mut command = Command::new(&program);
    command.args(["-A", "-t", "multi.example:80"]).env_clear().env("RES_OPTIONS", "ndots:9").stdin(Stdio::null());
    let output = command.output()?;
    let rules = run_original(&["-S", "-n"])?;
    ensure!(output.status.success() && rules == "-A -t 10.0.0.9:80 -s wlc\n", "RES_OPTIONS: {rules}");
    ensure!(!folder.path().join("run").exists(), "a getent that PATH names was run");
    ensure!(server.asked().iter().all(|question| !question.contains("evil")), "{:?}", server.asked());
    Ok(())
}

fn the_library_is_asked() -> Result<()> {
    let server = Server::start(ADDRESS, usual)?;
    set(HOSTS, "hosts: files nosuch dns\n", RESOLVER)?;
    // A host that a source before it has is not the C library's.
    succeed(&["-A", "-t", "files.example:80"])?;
    ensure!(server.asked().is_empty(), "{:?}", server.asked());
    // With addresses of both families, an IPv4 address.
    succeed(&["-A", "-t", "both.example:80"])?;
    let rules = succeed(&["-S", "-n"])?;
    ensure!(rules == "-A -t 10.0.0.5:80 -s wlc\n-A -t 10.0.0.9:80 -s wlc\n", "{rules}");
    // Names that look like options are not handed on.
    let output = support::run(&["-A", "-t", "--help:80"], b"")?;
    ensure!(output.status == "2" && output.stderr == "illegal virtual server address[:port] specified\n", "{output:?}");
    // Without getent names that need it are not resolved, and that is what is said; the others are.
    sh("mount --bind /dev/null /usr/bin/getent")?;
    succeed(&["-D", "-t", "files.example:80"])?;
    let output = support::run(&["-A", "-t", "short:80"], b"")?;
    let expected = "illegal virtual server address[:port] specified\ncould not resolve `short': /usr/bin/getent: ";
    ensure!(output.status == "2" && output.stderr.starts_with(expected), "{output:?}");
    let listing = succeed(&["-L"])?;
    ensure!(listing.contains("TCP  10.0.0.5:http wlc\n"), "{listing}");
    Ok(())
}

/// Twenty names, in forty lines.
fn twenty_names() -> String {
    let line = |number: usize| format!("-A -t name-{number}.example:80\n");
    let again = |number: usize| format!("-a -t name-{number}.example:80 -r name-{}.example:80\n", (number + 1) % 20);
    (0..20).map(line).chain((0..20).map(again)).collect()
}

fn all_at_once() -> Result<()> {
    let server = Server::start_patient(ADDRESS, 20, |question| {
        let number = question.name.trim_start_matches("name-").split('.').next().and_then(|n| n.parse::<u8>().ok());
        vec![address_answer(question, &[[10, 0, 1, number.unwrap_or(255)]])]
    })?;
    // No one is answered before all have asked.
    set(HOSTS, "hosts: files dns\n", "nameserver 127.0.0.53\n")?;
    support::succeed(&["-R"], twenty_names().as_bytes())?;
    let rules = succeed(&["-S", "-n"])?;
    ensure!(rules.lines().count() == 40 && rules.contains("-a -t 10.0.1.19:80 -r 10.0.1.0:80 -g -w 1\n"), "{rules}");
    let mut asked = server.asked();
    asked.sort();
    let mut expected: Vec<String> = (0..20).map(|number| format!("name-{number}.example 1")).collect();
    expected.sort();
    ensure!(asked == expected, "{asked:?}");
    // A service and a server of one command line, too.
    drop(server);
    let server = Server::start_patient(ADDRESS, 2, |question| {
        let last = if question.name.starts_with("vip") { 1 } else { 2 };
        vec![address_answer(question, &[[10, 0, 2, last]])]
    })?;
    support::succeed(&["-R"], b"-A -t 10.0.2.1:80\n")?;
    succeed(&["-a", "-t", "vip.example:80", "-r", "server.example:80"])?;
    ensure!(server.asked().len() == 2, "{:?}", server.asked());
    Ok(())
}

fn dead_servers() -> Result<()> {
    let silent = |_: &Question| Vec::new();
    let dead = Server::start("127.0.0.54", silent)?;
    set(HOSTS, "hosts: files dns\n", "nameserver 127.0.0.54\noptions timeout:1 attempts:1\n")?;
    for words in [&["-R"][..], &["-R", "--check"], &["-R", "--replace"]] {
        let before = dead.asked().len();
        let output = support::run(words, twenty_names().as_bytes())?;
        // One limit for all of them, that of one name.
        let lines = output.stderr.lines().count();
        let all = output.stderr.lines().all(|line| {
            line.contains("could not resolve `name-")
                && line.ends_with(".example': no name server answered within 1 s (127.0.0.54)")
        });
        ensure!(output.status == "2" && lines == 40 && all, "{output:?}");
        let asked = dead.asked().split_off(before);
        ensure!(asked.len() == 20, "{asked:?}");
    }
    // The limit is what one name may take by the settings, and half a minute at most.
    for (settings, limit) in [("options timeout:1 attempts:2", 2), ("options timeout:2 attempts:1", 2)] {
        set(HOSTS, "hosts: files dns\n", &format!("nameserver 127.0.0.54\n{settings}\n"))?;
        let output = support::run(&["-A", "-t", "name.example:80"], b"")?;
        let expected = format!("no name server answered within {limit} s (127.0.0.54)\n");
        ensure!(output.status == "2" && output.stderr.ends_with(&expected), "{output:?}");
    }
    // The next server is asked, and first from then on: not every name waits for the dead one.
    let alive = Server::start(ADDRESS, |question| vec![address_answer(question, &[[10, 0, 0, 9]])])?;
    let before = dead.asked().len();
    set(HOSTS, "hosts: files dns\n", "nameserver 127.0.0.54\nnameserver 127.0.0.53\noptions timeout:3 attempts:1\n")?;
    let rules: String = (0..250).map(|number| format!("-A -t name-{number}.example:{}\n", number + 1)).collect();
    support::succeed(&["-R"], rules.as_bytes())?;
    let dead = dead.asked().split_off(before).len();
    ensure!(
        alive.asked().len() == 250 && dead <= 100,
        "{dead} to the dead server, {} to the other",
        alive.asked().len()
    );
    Ok(())
}

fn failing_servers() -> Result<()> {
    let failing = Server::start("127.0.0.54", |question| vec![answer(question, 2, &[])])?;
    let refuses = "127.0.0.55";
    let message = |servers: &[&str]| -> Result<String> {
        let servers: String = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
        set(HOSTS, "hosts: files dns\n", &format!("{servers}options timeout:1 attempts:2\n"))?;
        let output = support::run(&["-A", "-t", "multi.example:80"], b"")?;
        if output.status == "0" {
            succeed(&["-D", "-t", "10.0.0.9:80"])?;
            return Ok(String::new());
        }
        let expected = "illegal virtual server address[:port] specified\ncould not resolve `multi.example': ";
        let why = output.stderr.strip_prefix(expected).with_context(|| format!("{output:?}"))?;
        ensure!(output.status == "2", "{output:?}");
        Ok(why.trim_end().to_owned())
    };
    let why = message(&["127.0.0.54"])?;
    ensure!(why == "the name server fails: SERVFAIL (127.0.0.54)", "{why}");
    // It was asked once.
    ensure!(failing.asked() == ["multi.example 1"], "{:?}", failing.asked());
    let why = message(&[refuses])?;
    ensure!(why == "no name server can be reached (127.0.0.55)", "{why}");
    let why = message(&["192.0.2.1"])?;
    ensure!(why == "no name server can be reached (192.0.2.1)", "{why}");
    let why = message(&[refuses, "127.0.0.54"])?;
    ensure!(why == "the name server fails: SERVFAIL (127.0.0.55, 127.0.0.54)", "{why}");
    let _server = Server::start(ADDRESS, usual)?;
    for servers in [&[refuses, ADDRESS][..], &["127.0.0.54", ADDRESS], &["192.0.2.1", "127.0.0.54", ADDRESS]] {
        let why = message(servers)?;
        ensure!(why.is_empty(), "{servers:?}: {why}");
    }
    let output = support::run(&["-A", "-t", "none.example:80"], b"")?;
    ensure!(output.stderr.ends_with("could not resolve `none.example': there is no such host\n"), "{output:?}");
    let output = support::run(&["-A", "-t", "six.example:80", "-p", "-M", "six.example"], b"")?;
    ensure!(output.status == "2" && output.stderr == "illegal ipv6 netmask specified\n", "{output:?}");
    Ok(())
}

fn hostile_answers() -> Result<()> {
    // What comes before the answer is for another question, or from another, or makes no sense at all.
    let server = Server::start(ADDRESS, |question| {
        let evil = address_answer(question, &[[6, 6, 6, 6]]);
        let changed = |place: usize, byte: u8| {
            let mut message = evil.clone();
            message[place] = byte;
            message
        };
        let spoilt = vec![
            Vec::new(),
            vec![0],
            evil[..11].to_vec(),
            // Another id, a question and no answer, another operation, no question, two, another name, another kind.
            changed(0, evil[0] ^ 1),
            changed(1, evil[1] ^ 0x80),
            changed(2, 0x01),
            changed(2, 0x89),
            changed(5, 0),
            changed(5, 2),
            changed(13, b'x'),
            changed(14 + question.name.len() + 1, 28),
        ];
        let right = address_answer(question, &[[10, 0, 0, 9]]);
        spoilt.into_iter().chain([right]).collect()
    })?;
    succeed(&["-A", "-t", "www.example:80"])?;
    let rules = succeed(&["-S", "-n"])?;
    ensure!(rules == "-A -t 10.0.0.9:80 -s wlc\n", "{rules}");
    ensure!(server.asked().len() == 1, "{:?}", server.asked());
    drop(server);
    // From another socket it does not arrive.
    let server = Server::start_spoofed(ADDRESS, |question| vec![address_answer(question, &[[6, 6, 6, 6]])])?;
    let output = support::run(&["-A", "-t", "other.example:80"], b"")?;
    ensure!(output.status == "2" && output.stderr.contains("no name server answered"), "{output:?}");
    drop(server);
    // Right by its question, and spoilt behind it: a circle, a place beyond the end, an end too early.
    for tail in
        [&[0xc0, 31][..], &[0xc0, 33, 0, 1], &[0xff, 0xff, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 6, 6, 6, 6], &[3, b'a']]
    {
        let tail = tail.to_vec();
        let _server = Server::start(ADDRESS, move |question| {
            let mut message = answer(question, 0, &[]);
            message[7] = 1;
            message.extend(&tail);
            vec![message]
        })?;
        let output = support::run(&["-A", "-t", "www.example:80"], b"")?;
        let why = "could not resolve `www.example': the name server's answer makes no sense (127.0.0.53)\n";
        ensure!(output.status == "2" && output.stderr.ends_with(why), "{output:?}");
    }
    // Two questions do not have the same id or port.
    let server = Server::start(ADDRESS, usual)?;
    for _ in 0..4 {
        support::run(&["-A", "-t", "none.example:80"], b"")?;
    }
    let senders = server.senders();
    let distinct = |numbers: Vec<u16>| numbers.into_iter().collect::<std::collections::BTreeSet<_>>().len();
    let ids = distinct(senders.iter().map(|sender| sender.0).collect());
    let ports = distinct(senders.iter().map(|sender| sender.1).collect());
    ensure!(senders.len() == 4 && ids > 1 && ports > 1, "{senders:?}");
    Ok(())
}

fn long_answers() -> Result<()> {
    let many: Vec<[u8; 4]> = (0..1000u16).map(|number| [10, 9, (number >> 8) as u8, number as u8]).collect();
    let server = Server::start(ADDRESS, move |question| match question.name.as_str() {
        "long.example" if question.is_stream => vec![address_answer(question, &many)],
        "cut.example" if question.is_stream => vec![address_answer(question, &many)[..100].to_vec()],
        "closed.example" if question.is_stream => Vec::new(),
        "none.example" => usual(question),
        _ => {
            let mut cut = address_answer(question, &[[6, 6, 6, 6]]);
            cut[2] |= 2;
            vec![cut]
        }
    })?;
    is_the_same("long.example")?;
    succeed(&["-A", "-t", "long.example:80"])?;
    let rules = succeed(&["-S", "-n"])?;
    ensure!(rules == "-A -t 10.9.0.0:80 -s wlc\n", "{rules}");
    for (name, why) in [
        ("cut.example", "the name server's answer makes no sense"),
        ("closed.example", "no name server can be reached"),
    ] {
        let output = support::run(&["-A", "-t", &format!("{name}:80")], b"")?;
        ensure!(output.status == "2" && output.stderr.contains(why), "{output:?}");
    }
    ensure!(server.asked().iter().filter(|question| *question == "cut.example 1").count() == 2, "{:?}", server.asked());
    Ok(())
}

fn few_file_descriptors() -> Result<()> {
    let server = Server::start(ADDRESS, |question| vec![address_answer(question, &[[10, 0, 0, 9]])])?;
    let rules: String = (0..250).map(|number| format!("-A -t name-{number}.example:{}\n", number + 1)).collect();
    fs::write("/run/rules", rules)?;
    set(HOSTS, "hosts: files dns\n", "nameserver 127.0.0.53\n")?;
    let script = format!("ulimit -n 10; exec {} -R --file /run/rules", ours().display());
    sh(&script)?;
    ensure!(server.asked().len() == 250, "{}", server.asked().len());
    ensure!(succeed(&["-S", "-n"])?.lines().count() == 250, "not all are there");
    Ok(())
}

/// A table whose addresses have names.
const TABLE: &str = "-A -t 10.0.0.9:80 -s rr\n-a -t 10.0.0.9:80 -r 10.0.0.1:8080 -m\n-a -t 10.0.0.9:80 -r 10.0.0.7:80 -m\n\
                     -a -t 10.0.0.9:80 -r 10.0.0.30:81 -m\n-a -t 10.0.0.9:80 -r 10.1.0.1:80 -m\n\
                     -a -t 10.0.0.9:80 -r 127.0.0.1:80 -m\n-A -t [2001:db8::6]:80 -s rr\n\
                     -a -t [2001:db8::6]:80 -r [2001:db8::7]:80 -m\n";

fn listings_have_the_same_names() -> Result<()> {
    let server = Server::start(ADDRESS, usual)?;
    support::succeed(&["-R"], TABLE.as_bytes())?;
    for switch in [
        "hosts: files dns\n",
        "hosts: dns files\n",
        "hosts: files\n",
        "hosts: nosuch dns\n",
        "hosts: files nosuch dns\n",
    ] {
        set(&format!("::1 ip6-localhost\n{HOSTS}"), switch, RESOLVER)?;
        for words in [&["-L"][..], &["-L", "--stats"], &["-L", "-t", "10.0.0.9:80"], &["-S"], &["-S", "--sort"]] {
            let theirs = run_original(words)?;
            let mine = succeed(&[words, &["--resolve-timeout=60"]].concat())?;
            ensure!(theirs == mine, "{switch}{words:?}: - the original, + ours{}", support::difference(&theirs, &mine));
        }
    }
    // Each address is asked for once, and none that /etc/hosts has.
    set(HOSTS, "hosts: files dns\n", RESOLVER)?;
    let before = server.asked().len();
    succeed(&["-L"])?;
    let mut asked = server.asked().split_off(before);
    asked.sort();
    let ipv6 = asked.pop_if(|question| question.starts_with("7.0.0.0.0.") && question.ends_with(".ip6.arpa 12"));
    ensure!(
        ipv6.is_some() && asked == ["1.0.1.10.in-addr.arpa 12", "30.0.0.10.in-addr.arpa 12"],
        "{ipv6:?}, {asked:?}"
    );
    let before = server.asked().len();
    succeed(&["-L", "-n"])?;
    ensure!(server.asked().len() == before, "asked for with -n");
    Ok(())
}

/// The lines of connections, without the time that is left to each.
fn without_expiry(listing: &str) -> Vec<String> {
    let words = |line: &str| {
        line.split_ascii_whitespace()
            .enumerate()
            .filter(|(place, _)| *place != 1)
            .map(|(_, word)| word.to_owned() + " ")
            .collect()
    };
    listing.lines().skip(2).map(words).collect()
}

fn connections_have_the_same_names() -> Result<()> {
    let server = Server::start(ADDRESS, usual)?;
    for address in [[10, 0, 0, 9], [10, 0, 0, 40]] {
        Links::new()?.add_address("lo", Ipv4Addr::from(address).into(), 32)?;
    }
    support::succeed(&["-R"], b"-A -t 10.0.0.9:80 -s rr\n-a -t 10.0.0.9:80 -r 127.0.0.1:8080 -m\n")?;
    let _listener = std::net::TcpListener::bind("127.0.0.1:8080")?;
    let _open = [
        support::connect_tcp("10.0.0.40:5001".parse()?, "10.0.0.9:80".parse()?)?,
        support::connect_tcp("10.0.0.40:5002".parse()?, "10.0.0.9:80".parse()?)?,
    ];
    let before = server.asked().len();
    let mine = succeed(&["-L", "-c", "--resolve-timeout=60"])?;
    let asked = server.asked().split_off(before);
    ensure!(asked == ["40.0.0.10.in-addr.arpa 12"], "{asked:?}");
    ensure!(mine.contains(" host-40.example:5001 Files.Example:http localhost:http-alt"), "{mine}");
    let theirs = run_original(&["-L", "-c"])?;
    ensure!(without_expiry(&theirs) == without_expiry(&mine), "{theirs}{mine}");
    for words in [&["-L", "-c", "--sort-by", "client"][..], &["-L", "-c", "--wide"], &["-L", "-c", "--table"]] {
        let listing = succeed(&[words, &["--resolve-timeout=60"]].concat())?;
        ensure!(listing.contains("host-40.example:5002"), "{words:?}: {listing}");
    }
    let counts = succeed(&["-L", "-c", "--count-by", "client", "--resolve-timeout=60"])?;
    ensure!(counts == "2 host-40.example\n", "{counts}");
    Ok(())
}

fn listings_do_not_wait() -> Result<()> {
    // 10.0.0.1 has a name once the name of 10.0.0.9 has been asked for, 10.0.0.7 never.
    let server = Server::start_patient_for(ADDRESS, "1.0.0.10.in-addr.arpa", "30.0.0.10.in-addr.arpa", |question| {
        if question.name.starts_with("7.") { Vec::new() } else { usual(question) }
    })?;
    set("", "hosts: files dns\n", "nameserver 127.0.0.53\n")?;
    support::succeed(&["-R"], TABLE.as_bytes())?;
    let listing = succeed(&["-L", "--resolve-timeout", "3"])?;
    ensure!(listing.contains("  -> host-1.example:http-alt"), "{listing}");
    ensure!(listing.contains("  -> 10.0.0.7:http ") && listing.contains("  -> host-30.example:81 "), "{listing}");
    let asked = |name: &str| server.asked().iter().filter(|question| question.starts_with(name)).count();
    ensure!(asked("1.0.0.10.") == 1 && asked("9.0.0.10.") == 1, "{:?}", server.asked());
    // A second time, as may have got lost.
    ensure!(asked("7.0.0.10.") == 2, "{:?}", server.asked());
    let rules = succeed(&["-S", "--resolve-timeout=3"])?;
    ensure!(rules.contains("-r host-1.example:http-alt ") && rules.contains("-r 10.0.0.7:http "), "{rules}");
    Ok(())
}

fn names_do_no_harm() -> Result<()> {
    // Names of strangers: escape sequences, line ends, options, more than one line, what turns text around.
    let evil: [&[u8]; 7] =
        [b"\x1b[2J", b"a\nTCP  6.6.6.6:80", b"-x", b"a b", "\u{202e}evil".as_bytes(), b"a\x9bb", b"a.b"];
    let server = Server::start(ADDRESS, move |question| {
        let number: usize = question.name.split('.').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        let label = evil[number % evil.len()];
        let name = [&[label.len() as u8], label, b"\x07example\0"].concat();
        vec![answer(question, 0, &[(label_name(&question.name), NAME, name)])]
    })?;
    let servers = (1..8).map(|number| format!("-a -t 20.20.20.20:80 -r 10.0.0.{number}:80 -m\n"));
    let table: String = ["-A -t 20.20.20.20:80 -s rr\n".to_owned()].into_iter().chain(servers).collect();
    support::succeed(&["-R"], table.as_bytes())?;
    set("10.0.0.7 \u{1b}[2Jbad\n10.0.0.6 z\u{f6}lf\n10.0.0.5 \u{202e}dab\n", "hosts: files dns\n", RESOLVER)?;
    let listing = succeed(&["-L"])?;
    let plain = succeed(&["-L", "-n"])?
        .replace(":80 ", ":http ")
        .replace("10.0.0.5:http ", r"\xe2\x80\xaedab:http ")
        .replace("10.0.0.6:http ", "z\u{f6}lf:http ")
        .replace("10.0.0.7:http ", r"\x1b[2Jbad:http ");
    let squeezed = |text: &str| text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(squeezed(&listing) == squeezed(&plain), "{listing:?}");
    ensure!(!server.asked().is_empty(), "no server was asked");
    drop(server);
    // A name that is another address, which would be listed, and restored, in place of the right one.
    let server = Server::start(ADDRESS, |question| {
        vec![answer(question, 0, &[(label_name(&question.name), NAME, label_name("192.0.2.66"))])]
    })?;
    set("10.0.0.7 192.0.2.67\n", "hosts: files dns\n", RESOLVER)?;
    for words in [&["-L"][..], &["-S"], &["-L", "--wide"], &["-L", "--table"]] {
        let printed = succeed(words)?;
        ensure!(!printed.contains("192.0.2.6") && printed.contains("10.0.0.3:http"), "{words:?}: {printed}");
    }
    ensure!(!server.asked().is_empty(), "no server was asked");
    Ok(())
}
