//! The doctor on one of several directors: whether it sees that, what it finds, and what its fixes make of it.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::schema::Schema;
use crate::support::{Links, Subject, Trial, in_fresh_namespace, ours, run, succeed, trial};

/// What is tried, and where.
pub fn subject() -> Subject {
    Subject { trials, ..Subject::named("doctor") }
}

fn trials() -> Result<Vec<Trial>> {
    Ok(vec![
        trial("one of several directors is seen", it_is_seen),
        trial("what is wrong on one of several directors is fixed", it_is_fixed),
        trial("a peer that cannot be read", bad_peers),
    ])
}

const VIP: &str = "10.9.9.9";

const RULES: &str = "\
-A -t 10.9.9.9:80 -s mh -b mh-port,mh-fallback
-a -t 10.9.9.9:80 -r 10.0.0.2 -g
-a -t 10.9.9.9:80 -r 10.0.0.3 -g
-a -t 10.9.9.9:80 -r 10.0.0.4 -g
";

/// The settings, and what several directors need.
const SETTINGS: [(&str, &str); 3] = [("sloppy_tcp", "1"), ("schedule_icmp", "1"), ("conntrack", "0")];

fn set(name: &str, value: &str) -> Result<()> {
    fs::write(Path::new("/proc/sys/net/ipv4/vs").join(name), value).with_context(|| name.to_owned())
}

/// A director with the VIP on `lo`.
fn director() -> Result<Links> {
    let links = Links::new()?;
    links.bring_up("lo")?;
    links.add_address("lo", VIP.parse()?, 32)?;
    succeed(&["-R", "--replace"], RULES.as_bytes())?;
    for (name, value) in SETTINGS {
        set(name, value)?;
    }
    Ok(links)
}

/// A program of this name that does nothing, as long as it is not dropped.
struct Running(Child);

impl Running {
    fn named(name: &str, folder: &TempDir) -> Result<Self> {
        let program = folder.path().join(name);
        fs::copy("/bin/sleep", &program)?;
        Ok(Self(Command::new(&program).arg("600").spawn()?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The report, by the schema.
fn report(options: &[&str]) -> Result<Value> {
    let words = [&["doctor", "--json", VIP], options].concat();
    let output = run(&words, b"")?;
    ensure!(output.stderr.is_empty(), "{words:?}: {output:?}");
    Schema::new()?.check("doctor", &output.stdout)
}

/// The findings of the role, as the id and the state, but for what is well or was skipped.
fn of_role(report: &Value) -> Result<Vec<(String, String)>> {
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap_or_default().to_owned();
    let findings = report["findings"].as_array().context("no findings")?;
    Ok(findings
        .iter()
        .filter(|finding| finding["role"] == "scale-out" && finding["state"] != "ok" && finding["state"] != "skip")
        .map(|finding| (text(finding, "id"), text(finding, "state")))
        .collect())
}

fn it_is_seen() -> Result<()> {
    in_fresh_namespace(|| {
        let folder = TempDir::new()?;
        let links = director()?;
        let alone = report(&[])?;
        ensure!(alone["roles"] == json!(["director"]) && of_role(&alone)?.is_empty(), "{alone}");
        for name in ["bird", "bgpd", "exabgp"] {
            let _running = Running::named(name, &folder)?;
            let seen = report(&[])?;
            let how = format!("the table has TCP {VIP}:80; {name} runs, and {VIP} is on lo");
            ensure!(seen["vip_roles"][0]["seen"] == how && seen["roles"] == json!(["director", "scale-out"]), "{seen}");
            // Of routers only what to see to is said.
            ensure!(of_role(&seen)? == [("S6".to_owned(), "note".to_owned())], "{seen}");
        }
        let said = report(&["--scale-out"])?;
        ensure!(said["roles"] == json!(["director", "scale-out"]), "{said}");
        // One that a director alone has at a time, though BIRD runs.
        let _running = Running::named("bird", &folder)?;
        let _other = links;
        succeed(&["-R", "--replace"], RULES.replace(VIP, "10.9.9.8").as_bytes())?;
        let pair = run(&["doctor", "--json", "10.9.9.8"], b"")?;
        let pair = Schema::new()?.check("doctor", &pair.stdout)?;
        ensure!(pair["roles"] == json!(["director"]) && of_role(&pair)?.is_empty(), "{pair}");
        Ok(())
    })
}

fn it_is_fixed() -> Result<()> {
    in_fresh_namespace(|| {
        let folder = TempDir::new()?;
        let _links = director()?;
        let peer = folder.path().join("peer.json");
        let path = peer.to_str().context("not a word")?;
        fs::write(&peer, succeed(&["-L", "--json"], b"")?)?;
        ensure!(of_role(&report(&["--peer", path])?)? == [("S6".to_owned(), "note".to_owned())], "not well at first");
        let broken: [(&str, &dyn Fn() -> Result<()>); _] = [
            ("S1", &|| set("sloppy_tcp", "0")),
            ("S2", &|| set("schedule_icmp", "0")),
            ("S3", &|| set("conntrack", "1")),
            ("S4", &|| succeed(&["-E", "-t", "10.9.9.9:80", "-s", "rr"], b"").map(drop)),
            ("S4", &|| succeed(&["-E", "-t", "10.9.9.9:80", "-s", "mh", "-b", "mh-port"], b"").map(drop)),
            // The same rules, in another order.
            ("S5", &|| {
                succeed(&["-d", "-t", "10.9.9.9:80", "-r", "10.0.0.2"], b"")?;
                succeed(&["-a", "-t", "10.9.9.9:80", "-r", "10.0.0.2", "-g"], b"").map(drop)
            }),
        ];
        for (id, make) in broken {
            make()?;
            let found = report(&["--peer", path])?;
            let named = of_role(&found)?;
            ensure!(named.iter().any(|(one, state)| one == id && state == "warn"), "{id} is not named: {found}");
            let field = |name: &str| -> Result<String> {
                let findings = found["findings"].as_array().context("no findings")?;
                let finding = findings.iter().find(|finding| finding["id"] == id && finding["state"] == "warn");
                Ok(finding.context("gone")?[name].as_str().with_context(|| format!("no {name}: {found}"))?.to_owned())
            };
            let (fix, undo) = (field("fix")?, field("undo")?);
            typed(&fix)?;
            let named = of_role(&report(&["--peer", path])?)?;
            ensure!(named == [("S6".to_owned(), "note".to_owned())], "{id} after {fix}: {named:?}");
            typed(&undo)?;
            let named = of_role(&report(&["--peer", path])?)?;
            ensure!(named.iter().any(|(one, _)| one == id), "{id} after {undo}: {named:?}");
            typed(&fix)?;
        }
        // It is the other one that is not in order.
        let here = fs::read_to_string(&peer)?;
        succeed(&["-d", "-t", "10.9.9.9:80", "-r", "10.0.0.2"], b"")?;
        succeed(&["-a", "-t", "10.9.9.9:80", "-r", "10.0.0.2", "-g"], b"")?;
        let other = succeed(&["-L", "--json"], b"")?;
        ensure!(other != here, "the same order");
        fs::write(&peer, other)?;
        run(&["-R", "--replace", "--reorder"], RULES.as_bytes())?;
        ensure!(succeed(&["-L", "--json"], b"")? == here, "not as it was");
        let found = report(&["--peer", path])?;
        let findings = found["findings"].as_array().context("no findings")?;
        let order = findings.iter().find(|finding| finding["id"] == "S5").context("no S5")?;
        ensure!(order["machine"].as_str().is_some_and(|machine| machine.contains(path)), "{order}");
        Ok(())
    })
}

/// A command of a fix, in a shell.
fn typed(command: &str) -> Result<()> {
    // As which it is called here.
    let command = command.replace("ipvsadm ", &format!("{} ", ours().display()));
    let command = command.replace("sysctl -w ", "busybox sysctl -w ");
    let output = Command::new("sh").args(["-c", &command]).output()?;
    ensure!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn bad_peers() -> Result<()> {
    in_fresh_namespace(|| {
        let folder = TempDir::new()?;
        let _links = director()?;
        let file = folder.path().join("peer.json");
        let path = file.to_str().context("not a word")?;
        for (text, says) in
            [(None, "No such file"), (Some("{}"), "missing field"), (Some("-a -t 1.2.3.4:1 -r x\n"), ":1:")]
        {
            if let Some(text) = text {
                fs::write(&file, text)?;
            }
            let output = run(&["doctor", "--peer", path], b"")?;
            let names = output.stderr.contains(path) && output.stderr.contains(says);
            ensure!(output.status == "2" && output.stdout.is_empty() && names, "{text:?}: {output:?}");
        }
        fs::write(&file, succeed(&["-L", "--json"], b"")?)?;
        let output = run(&["doctor", "--role", "real-server", "--peer", path], b"")?;
        ensure!(
            output.status == "2" && output.stdout.is_empty() && output.stderr.contains("real server"),
            "{output:?}"
        );
        Ok(())
    })
}
