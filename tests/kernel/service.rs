//! `service` on a real kernel: what each verb does under each setting, and what happens when things go wrong. The trials
//! share the kernel's one set of modules, so they run one at a time; each has an empty table and an /etc and a /run of its
//! own.

mod signals;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::support::{self, Guest, Invocation, Output, Subject, Trial, trial};

/// What a trial does.
type Run = fn() -> Result<()>;

/// What is tried, and where.
pub fn subject() -> Subject {
    Subject { guest: || Guest { own: true, ..Guest::default() }, trials, ..Subject::named("service") }
}

fn trials() -> Result<Vec<Trial>> {
    let trials: [(&str, Run); _] = [
        ("every verb under every setting", every_verb_under_every_setting),
        ("restart: rules added by hand", rules_added_by_hand_and_a_restart),
        ("restart: by systemd, in two halves", a_restart_by_systemd),
        ("restart: a mark is used once", a_mark_is_used_once),
        ("start: no file of rules", no_file_of_rules),
        ("start: a bad file of rules", a_bad_file_of_rules),
        ("start: every good line onto an empty table", every_good_line_onto_an_empty_table),
        ("start: nothing to load of a bad file", nothing_to_load),
        ("reload: what is the same is left alone", a_reload_leaves_the_rest_alone),
        ("load: from rules to none", from_rules_to_none),
        ("load: more removals than allowed", more_removals_than_allowed),
        ("load: rules that are cut off", rules_that_are_cut_off),
        ("load: a rule that is there twice", a_rule_that_is_there_twice),
        ("settings: rules in their place", rules_in_place_of_settings),
        ("settings: bad ones", bad_settings),
        ("settings: which file is which", which_file_is_which),
        ("daemons: of the settings", daemons_of_the_settings),
        ("save: timeouts and daemons come back", timeouts_and_daemons_come_back),
        ("save: never an empty table over rules", an_empty_table_over_rules),
        ("save: mode of the file", the_mode_of_the_file),
        ("save: names that are alike", names_that_are_alike),
        ("stop: rules in no file", rules_in_no_file),
        ("save: full disk", a_full_disk),
        ("stop: modules in use", modules_in_use),
        ("status: nothing there", status_without_ipvs),
        ("status: as JSON", status_as_json),
        ("two at once", two_at_once),
        ("the table's lock", the_tables_lock),
        ("panic: settings and lock do not matter", panic_always_works),
        ("signals with whatever is sent", signals::with_whatever_is_sent),
        ("killed with whatever is sent", signals::killed_with_whatever_is_sent),
        ("the way back", signals::the_way_back),
        ("without privileges", without_privileges),
        ("wrong use", wrong_use),
    ];
    Ok(trials.into_iter().map(|(name, run)| trial(name, move || alone(run))).collect())
}

// ---- tools ----------------------------------------------------------------------------------------------------------

const EL_SETTINGS: &str = "/etc/sysconfig/ipvsadm-config";
const EL_RULES: &str = "/etc/sysconfig/ipvsadm";
const DEBIAN_SETTINGS: &str = "/etc/default/ipvsadm";
const RULES: &str = "/etc/ipvsadm.rules";
const LOCK: &str = "/run/ipvsadm-rs/service.lock";
const MARK: &str = "/run/ipvsadm-rs/restarting";

/// The rules in the file, as `save` writes them.
const FILED: &str = "\
    -A -t 10.0.0.1:80 -s wrr\n\
    -a -t 10.0.0.1:80 -r 10.0.0.11:80 -g -w 1\n\
    -a -t 10.0.0.1:80 -r 10.0.0.12:80 -g -w 3\n";
/// A rule added by hand; it sorts behind those.
const BY_HAND: &str = "-A -t 10.0.0.2:80 -s rr\n";
/// The kernel's timeouts at the beginning.
const TIMEOUTS: &str = "--set 900 120 300\n";

/// A file as `save` writes it.
fn saved(rules: &str) -> String {
    let lines = rules.lines().count();
    format!("# Saved by ipvsadm-rs; the last line counts the rules\n{rules}# End of saved rules: {lines} lines\n")
}

/// Runs a trial by itself, with an empty table, folders of its own, and a name service that knows two names.
fn alone(run: Run) -> Result<()> {
    thread::scope(|scope| {
        let trial = scope.spawn(|| {
            support::private_mounts()?;
            for folder in ["/etc", "/run"] {
                shell(&format!("mount -t tmpfs -o mode=755 tmpfs {folder}"))?;
            }
            for folder in ["/etc/sysconfig", "/etc/default"] {
                fs::create_dir(folder)?;
            }
            fs::write("/etc/nsswitch.conf", "hosts: files\nservices: files\n")?;
            fs::write("/etc/hosts", "127.0.0.1 localhost\n10.0.0.1 www.example\n")?;
            fs::write("/etc/services", "http 80/tcp\n")?;
            clear()?;
            run()
        });
        trial.join().map_err(|_| anyhow!("the test panicked"))?
    })
}

/// Makes the kernel's state what it is after boot.
fn clear() -> Result<()> {
    for line in run(&["-L", "--daemon"])?.stdout.lines() {
        let role = line.split(' ').next().unwrap_or_default();
        succeed(&["--stop-daemon", role])?;
    }
    succeed(&["-C"])?;
    succeed(&["--set", "900", "120", "300"])?;
    Ok(())
}

fn shell(script: &str) -> Result<()> {
    let status = Command::new("/bin/sh").args(["-c", script]).status()?;
    ensure!(status.success(), "{script}: {status}");
    Ok(())
}

fn run(words: &[&str]) -> Result<Output> {
    Invocation::of(words).run(&support::ours())
}

/// Runs the program, which must succeed and say nothing on standard error. Returns what it prints.
fn succeed(words: &[&str]) -> Result<String> {
    let output = run(words)?;
    ensure!(output.status == "0" && output.stderr.is_empty(), "{words:?}: {output:?}");
    Ok(output.stdout)
}

fn service(words: &[&str]) -> Result<Output> {
    run(&[&["service"], words].concat())
}

/// The service does this and prints nothing.
fn done(words: &[&str]) -> Result<String> {
    succeed(&[&["service"], words].concat())
}

/// The service ends with this status, and says this.
fn prints(words: &[&str], status: &str, stderr: &str) -> Result<()> {
    let output = service(words)?;
    ensure!(output.status == status, "{words:?}: not status {status}: {output:?}");
    ensure!(output.stderr.contains(stderr), "{words:?}: not {stderr:?}: {output:?}");
    Ok(())
}

/// Puts rules into the table, beside what is there.
fn add(rules: &str) -> Result<()> {
    let output = Invocation { stdin: rules.as_bytes(), ..Invocation::of(&["-R"]) }.run(&support::ours())?;
    ensure!(output.status == "0" && output.stderr.is_empty(), "{output:?}");
    Ok(())
}

/// The table as rules; asks for the module to be loaded.
fn table() -> Result<String> {
    succeed(&["-S", "-n"])
}

fn daemons() -> Result<String> {
    succeed(&["-L", "--daemon"])
}

fn ensure_table(expected: &str) -> Result<()> {
    let table = table()?;
    ensure!(table == expected, "not the table expected:\n{}", support::difference(expected, &table));
    Ok(())
}

fn ensure_file(path: &str, expected: &str) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| path.to_owned())?;
    ensure!(text == expected, "not what {path} should hold:\n{}", support::difference(expected, &text));
    Ok(())
}

fn is_loaded() -> bool {
    Path::new("/proc/net/ip_vs").exists()
}

/// The file's rules and one by hand in the table.
fn changed_by_hand() -> Result<String> {
    fs::write(EL_RULES, FILED)?;
    let both = format!("{FILED}{BY_HAND}");
    add(&both)?;
    Ok(both)
}

// ---- what each verb does --------------------------------------------------------------------------------------------

#[derive(Clone, Copy, Debug)]
struct Case {
    unload: bool,
    save_on_stop: bool,
    save_on_restart: bool,
    numeric: bool,
    auto: bool,
    daemon: bool,
    /// Whether there is anything in the table.
    filled: bool,
    verb: &'static str,
}

const VERBS: [&str; 10] =
    ["start", "stop", "restart", "reload", "force-reload", "save", "status", "panic", "load", "rate"];

fn every_verb_under_every_setting() -> Result<()> {
    for bits in 0_u32..128 {
        let bit = |number: u32| bits >> number & 1 == 1;
        for verb in VERBS {
            let (unload, save_on_stop, save_on_restart, numeric) = (bit(0), bit(1), bit(2), bit(3));
            let (auto, daemon, filled) = (bit(4), bit(5), bit(6));
            // What has nothing to say to a verb is tried one way only; four settings are about two verbs and `status`.
            let concerns = match verb {
                "stop" => save_on_restart || numeric,
                "restart" | "force-reload" => unload || save_on_stop || numeric,
                "status" => unload || save_on_stop || save_on_restart,
                _ => {
                    (unload, save_on_stop, save_on_restart, numeric) != (true, true, true, false)
                        && (unload, save_on_stop, save_on_restart, numeric) != (false, false, false, true)
                }
            };
            if concerns {
                continue;
            }
            let case = Case { unload, save_on_stop, save_on_restart, numeric, auto, daemon, filled, verb };
            try_case(case).with_context(|| format!("{case:?}"))?;
        }
    }
    Ok(())
}

/// What is documented, in a few lines.
fn try_case(case: Case) -> Result<()> {
    let Case { unload, save_on_stop, save_on_restart, numeric, auto, daemon, filled, verb } = case;
    let word = |yes| if yes { "yes" } else { "no" };
    clear()?;
    let (filed, by_hand) = (format!("{FILED}{TIMEOUTS}"), format!("{FILED}{BY_HAND}"));
    let before = if filled { by_hand.as_str() } else { "" };
    fs::write(EL_RULES, &filed)?;
    add(before)?;
    fs::write(
        EL_SETTINGS,
        format!(
            "IPVS_MODULES_UNLOAD=\"{}\"\nIPVS_SAVE_ON_STOP=\"{}\"\nIPVS_SAVE_ON_RESTART=\"{}\"\nIPVS_STATUS_NUMERIC=\"{}\"\n",
            word(unload),
            word(save_on_stop),
            word(save_on_restart),
            word(numeric)
        ),
    )?;
    let role = if daemon { "backup" } else { "none" };
    fs::write(DEBIAN_SETTINGS, format!("AUTO=\"{auto}\"\nDAEMON=\"{role}\"\nIFACE=\"lo\"\nSYNCID=\"9\"\n"))?;
    let output = service(&[verb])?;
    let loaded = is_loaded();

    let saves = matches!(verb, "save")
        || verb == "stop" && save_on_stop
        || matches!(verb, "restart" | "force-reload") && save_on_restart;
    let starts = matches!(verb, "start" | "reload" | "restart" | "force-reload");
    // An empty table is never saved over rules.
    let file_after = if saves && filled { saved(&format!("{before}{TIMEOUTS}")) } else { filed };
    let rules_after = if saves && filled { before } else { FILED };
    let table_after = match verb {
        "load" => rules_after,
        _ if starts && auto => rules_after,
        "stop" if auto => "",
        "panic" => "",
        _ => before,
    };
    let status = match verb {
        "status" if !filled => "3",
        "save" if !filled => "1",
        _ => "0",
    };
    ensure!(output.status == status, "not status {status}: {output:?}");
    ensure!(loaded != (verb == "stop" && auto && unload), "loaded: {loaded}");
    ensure_file(EL_RULES, &file_after)?;
    ensure_table(table_after)?;
    let running = daemons()?;
    ensure!(running.starts_with("backup sync daemon (mcast=lo, syncid=9,") == (starts && daemon), "{running:?}");
    ensure!(running.lines().count() <= 1, "{running:?}");
    match verb {
        "status" => {
            let name = if numeric { "TCP  10.0.0.1:80 wrr" } else { "TCP  www.example:http wrr" };
            ensure!(output.stdout.contains(name) == filled, "{output:?}");
            ensure!(output.stdout.starts_with("IP Virtual Server version 1.2.1"), "{output:?}");
        }
        "rate" => ensure!(output.stdout.contains("CPS    InPPS"), "{output:?}"),
        _ => ensure!(output.stdout.is_empty(), "{output:?}"),
    }
    if verb == "panic" && filled {
        ensure!(output.stderr.starts_with("to restore the table from before: "), "{output:?}");
    } else if starts && !auto {
        ensure!(output.stderr.contains("/etc/default/ipvsadm:1: AUTO"), "{output:?}");
    } else {
        let lost = filled
            && !saves
            && (auto && matches!(verb, "start" | "stop" | "restart" | "force-reload") || verb == "load");
        ensure!(output.stderr.contains("1 rule of the table was in no file") == lost, "{output:?}");
        ensure!(output.stderr.is_empty() == (!lost && (filled || !saves)), "{output:?}");
    }
    Ok(())
}

fn rules_added_by_hand_and_a_restart() -> Result<()> {
    for verb in ["restart", "force-reload"] {
        clear()?;
        let both = changed_by_hand()?;
        fs::write(EL_SETTINGS, "IPVS_SAVE_ON_RESTART=\"yes\"\n")?;
        done(&[verb])?;
        ensure_table(&both)?;
        ensure_file(EL_RULES, &saved(&format!("{both}{TIMEOUTS}")))?;
        fs::write(EL_RULES, FILED)?;
        fs::write(EL_SETTINGS, "IPVS_SAVE_ON_RESTART=\"no\"\n")?;
        prints(&[verb], "0", "1 rule of the table was in no file")?;
        ensure_table(FILED)?;
        ensure_file(EL_RULES, FILED)?;
    }
    Ok(())
}

/// Has systemctl say that these jobs run.
fn systemctl(jobs: &str) -> Result<()> {
    fs::write("/run/systemctl", format!("#!/bin/sh\necho '{jobs}'\n"))?;
    fs::set_permissions("/run/systemctl", fs::Permissions::from_mode(0o755))?;
    // In place of the machine's own, which a small system does not have.
    if !Path::new("/run/bin").exists() {
        shell(
            "mkdir /run/real /run/bin; mount --bind /usr/bin /run/real; ln -s /run/real/* /run/bin/
             ln -sf /run/systemctl /run/bin/; mount --bind /run/bin /usr/bin",
        )?;
    }
    Ok(())
}

/// The first half of a restart by systemd.
fn first_half() -> Result<()> {
    done(&["stop", "--unit", "ipvsadm-rs.service"]).map(drop)
}

/// systemd calls stop and start, and neither call says that together they are a restart.
fn a_restart_by_systemd() -> Result<()> {
    let both = changed_by_hand()?;
    systemctl("12 ipvsadm-rs.service restart running")?;
    fs::write(EL_SETTINGS, "IPVS_SAVE_ON_STOP=yes\nIPVS_SAVE_ON_RESTART=no\n")?;

    first_half()?;
    ensure_table(&both)?;
    ensure_file(EL_RULES, FILED)?;
    prints(&["start"], "0", "1 rule of the table was in no file")?;
    ensure_table(FILED)?;

    add(BY_HAND)?;
    fs::write(EL_SETTINGS, "IPVS_SAVE_ON_RESTART=yes\n")?;
    first_half()?;
    done(&["start"])?;
    ensure_table(&both)?;
    ensure_file(EL_RULES, &saved(&format!("{both}{TIMEOUTS}")))?;
    // Only the first start after it is a restart.
    fs::write(EL_RULES, FILED)?;
    prints(&["start"], "0", "1 rule of the table was in no file")?;
    ensure_table(FILED)?;

    // Another unit's restart, and a stop of this one.
    for jobs in ["12 other.service restart running", "12 ipvsadm-rs.service stop running"] {
        systemctl(jobs)?;
        done(&["stop", "--unit", "ipvsadm-rs.service"])?;
        ensure!(!is_loaded(), "{jobs}: it is still there");
        done(&["start"])?;
        ensure_table(FILED)?;
    }
    Ok(())
}

/// What the administrator wrote after a restart that failed, or while one goes on, is not lost.
fn a_mark_is_used_once() -> Result<()> {
    let both = changed_by_hand()?;
    systemctl("12 ipvsadm-rs.service restart running")?;
    let edited = format!("# mine\n{FILED}-A -t 10.0.0.9:80 -s rr\n");
    let in_table = edited.strip_prefix("# mine\n").unwrap_or_default();

    // Whatever the start fails for.
    fs::write(EL_SETTINGS, "IPVS_SAVE_ON_RESTART=maybe\n")?;
    first_half()?;
    prints(&["start"], "1", "maybe")?;
    ensure_table(&both)?;
    ensure!(!Path::new(MARK).exists(), "the mark of a restart that failed is there");
    fs::write(EL_SETTINGS, "IPVS_SAVE_ON_RESTART=yes\n")?;
    fs::write(EL_RULES, &edited)?;
    // An editor can keep the date.
    shell(&format!("touch -d '2001-01-01' {EL_RULES}"))?;
    prints(&["start"], "0", "1 rule of the table was in no file")?;
    ensure_file(EL_RULES, &edited)?;
    ensure_table(in_table)?;

    // Other verbs use it up as well.
    first_half()?;
    done(&["reload"])?;
    ensure!(!Path::new(MARK).exists(), "the mark outlives a reload");

    // A file that was changed between the halves.
    fs::write(EL_RULES, FILED)?;
    done(&["reload"])?;
    add(BY_HAND)?;
    first_half()?;
    fs::write(EL_RULES, &edited)?;
    shell(&format!("touch -d '2001-01-01' {EL_RULES}"))?;
    let output = service(&["start"])?;
    let said = format!(
        "{EL_RULES}: changed since the service was stopped, so the table is not saved to it\n\
         1 rule of the table was in no file\n\
         to restore the table from before: "
    );
    ensure!(output.status == "0" && output.stderr.starts_with(&said), "{output:?}");
    // The copy that is named brings it back.
    let (_, command) = output.stderr.split_once("ipvsadm -R --replace --file ").context("no copy is named")?;
    succeed(&["-R", "--replace", "--file", command.trim_end()])?;
    ensure_table(&both)?;
    ensure_file(EL_RULES, &edited)
}

fn no_file_of_rules() -> Result<()> {
    add(BY_HAND)?;
    for verb in ["start", "reload", "restart", "force-reload", "load"] {
        prints(&[verb], "0", "/etc/sysconfig/ipvsadm: there is no such file, so the table is left as it is")?;
        ensure_table(BY_HAND)?;
    }
    fs::remove_dir("/etc/sysconfig")?;
    prints(&["start"], "0", "/etc/ipvsadm.rules: there is no such file")?;
    done(&["save"])?;
    ensure_file(RULES, &saved(&format!("{BY_HAND}{TIMEOUTS}")))
}

fn a_bad_file_of_rules() -> Result<()> {
    add(BY_HAND)?;
    for (bad, said) in [
        ("-w heavy\n", ":4: a line must begin with a command"),
        ("-A -t 10.0.0.3:80 -s none-such\n", ":4: Scheduler or persistence engine not found"),
        ("-A -t 10.0.0.1:80 -s rr\n", ":4: Service already exists"),
        ("IPVS_SAVE_ON_STOP=yes\n", ":4: a line must begin with a command"),
    ] {
        fs::write(EL_RULES, format!("{FILED}{bad}"))?;
        for verb in ["start", "reload", "restart", "force-reload", "load"] {
            prints(&[verb], "1", &format!("{EL_RULES}{said}"))?;
            ensure_table(BY_HAND)?;
        }
    }
    fs::remove_file(EL_RULES)?;
    fs::create_dir(EL_RULES)?;
    fs::write(EL_SETTINGS, format!("IPVSADM_CONFIG={EL_RULES}"))?;
    fs::rename(EL_RULES, "/etc/folder")?;
    fs::write(EL_SETTINGS, "IPVSADM_CONFIG=/etc/folder")?;
    for verb in ["start", "save"] {
        prints(&[verb], "1", "/etc/folder")?;
        ensure_table(BY_HAND)?;
    }
    Ok(())
}

/// Lines that are wrong or refused, behind three that are not, and what is said of them.
const FAULTY: &str = "\
    -a -t 10.0.0.1:80 -r 10.0.0.11 -w 7\n\
    -A -t 10.0.0.3:80 -s none-such\n\
    -a -t 10.0.0.3:80 -r 10.0.0.11\n\
    -a -t 10.0.0.3:80 -r 10.0.0.12\n\
    -A -t 10.0.0.x:80\n\
    -a -t 10.0.0.x:80 -r 10.0.0.11\n\
    -d -t 10.0.0.1:80 -r 10.0.0.99\n\
    -a -t 10.0.0.4:80 -r 10.0.0.11\n\
    -a -t 10.0.0.4:80 -r 10.0.0.12\n\
    --start-daemon master --mcast-interface none-such\n\
    -A -f 7 -s none-such\n";

/// What is reported of these lines, behind the name of the file.
const FAULTS: [&str; 8] = [
    ":4: Destination already exists",
    ":8: illegal virtual server address[:port] specified: could not resolve `10.0.0.x': there is no such host",
    ":9: illegal virtual server address[:port] specified: could not resolve `10.0.0.x': there is no such host",
    ":10: No such destination",
    ":11: Service not defined: TCP 10.0.0.4:80, with 2 servers",
    ":5: Scheduler or persistence engine not found, so its 2 servers are not loaded either",
    ":13: No such device",
    ":14: Scheduler or persistence engine not found",
];

/// A director boots with all of its rules that are good.
fn every_good_line_onto_an_empty_table() -> Result<()> {
    let file = format!("{FILED}{FAULTY}{BY_HAND}");
    let good = format!("{FILED}{BY_HAND}");
    let faults: String = FAULTS.iter().map(|fault| format!("{EL_RULES}{fault}\n")).collect();
    let said = format!("{faults}{EL_RULES}: loaded without 11 lines that are wrong or were refused\n");
    fs::write(EL_SETTINGS, "IPVS_SAVE_ON_STOP=yes\n")?;
    for verb in ["start", "restart", "force-reload", "load"] {
        add("-C")?;
        fs::write(EL_RULES, &file)?;
        let output = service(&[verb])?;
        ensure!(output.status == "3", "{output:?}");
        ensure!(output.stderr == said, "{}", support::difference(&said, &output.stderr));
        ensure_table(&good)?;
        // The service runs, and says what it runs without.
        let status = service(&["status"])?;
        let listed = format!("Not loaded:\n{faults}");
        ensure!(status.status == "0" && status.stdout.ends_with(&listed), "{status:?}");
        let json = service(&["status", "--json"])?;
        ensure!(json.stdout.contains(&format!("\"not_loaded\":[\"{EL_RULES}:4: Destination")), "{json:?}");
        // Now there are rules in the table, and a change of it is all or nothing.
        for verb in ["start", "reload", "restart"] {
            prints(&[verb], "1", &format!("{EL_RULES}:8: illegal virtual server address"))?;
            ensure_table(&good)?;
        }
        // Once the file is right, nothing is left to say.
        fs::write(EL_RULES, &good)?;
        done(&["reload"])?;
        ensure!(!service(&["status"])?.stdout.contains("Not loaded"), "what was not loaded is still listed");
    }
    // A reload is asked for by someone who can see what comes of it.
    add("-C")?;
    fs::write(EL_RULES, &file)?;
    prints(&["reload"], "1", &format!("{EL_RULES}:8: illegal virtual server address"))?;
    ensure_table("")?;
    // The lines that are not in the table are not lost when that is saved.
    prints(&["start"], "3", "loaded without")?;
    let kept = format!("{EL_RULES}.not-loaded");
    prints(
        &["stop"],
        "0",
        &format!("{EL_RULES}: some of its lines could not be loaded; the file from before is {kept}"),
    )?;
    ensure_file(EL_RULES, &saved(&format!("{good}{TIMEOUTS}")))?;
    ensure_file(&kept, &file)?;
    done(&["start"])?;
    ensure_table(&good)?;
    done(&["stop"])?;
    ensure_file(&kept, &file)?;
    let status = service(&["status"])?;
    ensure!(status.status == "3" && !status.stdout.contains("Not loaded"), "{status:?}");

    // In systemd's journal they are errors.
    fs::write(EL_RULES, &file)?;
    let log = File::create("/run/log")?;
    let there = log.metadata()?;
    let stream = format!("{}:{}", there.dev(), there.ino());
    let mut command = Command::new(support::ours());
    let status = command.args(["service", "start"]).env("JOURNAL_STREAM", stream).stderr(log).status()?;
    ensure!(status.code() == Some(3), "{status}");
    let said: String = FAULTS.iter().map(|fault| format!("<3>{EL_RULES}{fault}\n")).collect();
    let log = fs::read_to_string("/run/log")?;
    ensure!(log.starts_with(&said), "{}", support::difference(&said, &log));
    done(&["panic"]).map(drop).or_else(|_| prints(&["panic"], "0", ""))
}

fn nothing_to_load() -> Result<()> {
    for (file, said) in [
        ("-A -t 10.0.0.x:80\n--set 1000 200 400\n", ":1: illegal virtual server address"),
        ("-A -t 10.0.0.3:80 -s none-such\n", ":1: Scheduler or persistence engine not found"),
        ("-a -t 10.0.0.3:80 -r 10.0.0.4\n", ":1: Service not defined: TCP 10.0.0.3:80"),
    ] {
        fs::write(EL_RULES, file)?;
        for verb in ["start", "restart", "load"] {
            prints(&[verb], "1", &format!("{EL_RULES}{said}"))?;
            prints(&[verb], "1", &format!("{EL_RULES}: nothing could be loaded\n"))?;
            ensure_table("")?;
        }
        ensure!(service(&["status"])?.status == "3", "the service runs");
    }
    Ok(())
}

/// A service that is made again has no counters, so one that keeps its connection was left alone.
fn a_reload_leaves_the_rest_alone() -> Result<()> {
    let kept = "-A -u 127.0.0.9:5001 -s rr\n-a -u 127.0.0.9:5001 -r 127.0.0.1:6001 -m -w 1\n";
    add(&format!("{kept}{BY_HAND}"))?;
    fs::write(EL_RULES, format!("{kept}{FILED}"))?;
    let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    socket.send_to(b"x", "127.0.0.9:5001")?;
    let counted = || -> Result<bool> {
        let listing = succeed(&["-L", "-n", "--stats"])?;
        let line = listing.lines().find(|line| line.starts_with("UDP  127.0.0.9:5001")).context("no service")?;
        Ok(line.split_whitespace().nth(2) == Some("1"))
    };
    // The kernel adds up every two seconds.
    let deadline = Instant::now() + Duration::from_secs(60);
    while !counted()? {
        ensure!(Instant::now() < deadline, "the connection is not counted");
        thread::sleep(Duration::from_millis(100));
    }
    for verb in ["reload", "restart", "start", "load"] {
        done(&[verb])?;
        ensure!(counted()?, "{verb} made again what was there");
    }
    add(&format!("-C\n{kept}"))?;
    ensure!(!counted()?, "the counter stays in any case, so this test shows nothing");
    Ok(())
}

fn from_rules_to_none() -> Result<()> {
    add(FILED)?;
    for none in ["", "# -A -t 10.0.0.1:80\n", "--set 1 2 3\n", "-A -f 1\n-D -f 1\n"] {
        fs::write(EL_RULES, none)?;
        fs::write(EL_SETTINGS, "IPVS_ALLOW_EMPTY=no\n")?;
        for verb in ["reload", "start", "load", "restart", "force-reload"] {
            prints(&[verb], "1", "/etc/sysconfig/ipvsadm: no virtual service is in it, and the table has 1")?;
            prints(&[verb], "1", "IPVS_ALLOW_EMPTY=yes allows")?;
            ensure_table(FILED)?;
        }
    }
    fs::write(EL_RULES, "")?;
    fs::write(EL_SETTINGS, "IPVS_ALLOW_EMPTY=yes\n")?;
    done(&["reload"])?;
    ensure_table("")?;
    // From none to none, as at boot.
    fs::write(EL_SETTINGS, "")?;
    for verb in ["start", "reload", "restart"] {
        done(&[verb])?;
    }
    ensure_table("")
}

fn more_removals_than_allowed() -> Result<()> {
    let four = format!("{FILED}{BY_HAND}");
    fs::write(EL_RULES, BY_HAND)?;
    for limit in ["0", "2", "0%", "74%"] {
        add(&format!("-C\n{four}"))?;
        fs::write(EL_SETTINGS, format!("IPVS_MAX_REMOVALS=\"{limit}\"\n"))?;
        for verb in ["reload", "start", "load", "restart", "force-reload"] {
            let said = format!(
                "{EL_RULES}: it would delete 3 of the 4 rules in the table, more than the limit of {limit} \
                 (--max-removals, IPVS_MAX_REMOVALS): nothing was changed"
            );
            prints(&[verb], "1", &said)?;
            ensure_table(&four)?;
        }
    }
    for limit in ["3", "75%", "100%", ""] {
        add(&format!("-C\n{four}"))?;
        fs::write(EL_SETTINGS, format!("IPVS_MAX_REMOVALS={limit}\n"))?;
        done(&["reload"])?;
        ensure_table(BY_HAND)?;
    }
    Ok(())
}

fn rules_that_are_cut_off() -> Result<()> {
    add(FILED)?;
    done(&["save"])?;
    let whole = fs::read_to_string(EL_RULES)?;
    add(&format!("-C\n{BY_HAND}"))?;
    // After a whole line, in a line, and after the last rule.
    for length in [whole.find("-a").context("no server")?, whole.len() - 40, whole.len() - 10] {
        fs::write(EL_RULES, &whole[..length])?;
        for verb in ["reload", "start", "restart"] {
            prints(&[verb], "1", "/etc/sysconfig/ipvsadm: it is cut off")?;
        }
        let check = run(&["-R", "--check", "--file", EL_RULES])?;
        ensure!(check.status == "2" && check.stderr.contains("it is cut off"), "{check:?}");
        ensure_table(BY_HAND)?;
    }
    // Without the first line it is a file like any other; and what was added by hand does no harm.
    let (_, rules) = whole.split_once('\n').context("no line")?;
    for text in
        [rules[..rules.len() - 10].to_owned(), whole.clone(), format!("# mine\n{whole}\n# mine\n-A -f 7\n-D -f 7\n")]
    {
        fs::write(EL_RULES, text)?;
        done(&["reload"])?;
        ensure_table(FILED)?;
    }
    Ok(())
}

fn a_rule_that_is_there_twice() -> Result<()> {
    // The same after parsing.
    let twice = "-A -t 10.0.0.1:http -s wrr\n-a -t 10.0.0.1:80 -r 10.0.0.12 -w 3\n";
    let said = "/etc/sysconfig/ipvsadm:4: the same rule as on line 1, which counts once\n\
                /etc/sysconfig/ipvsadm:5: the same rule as on line 3, which counts once\n";
    fs::write(EL_RULES, format!("{FILED}{twice}"))?;
    for verb in ["start", "reload", "restart", "load"] {
        add("-C")?;
        let output = service(&[verb])?;
        ensure!(output.status == "0" && output.stderr == said, "{output:?}");
        ensure_table(FILED)?;
    }
    let check = run(&["-R", "--check", "--file", EL_RULES])?;
    ensure!(check.status == "1" && check.stderr == said, "{check:?}");
    add("-C")?;
    let replace = run(&["-R", "--replace", "--file", EL_RULES])?;
    ensure!(replace.status == "0" && replace.stderr == said, "{replace:?}");
    ensure_table(FILED)?;
    // Not the same: another weight.
    fs::write(EL_RULES, format!("{FILED}-a -t 10.0.0.1:80 -r 10.0.0.12 -w 4\n"))?;
    prints(&["reload"], "1", "/etc/sysconfig/ipvsadm:4: Destination already exists")
}

// ---- settings -------------------------------------------------------------------------------------------------------

fn bad_settings() -> Result<()> {
    let both = changed_by_hand()?;
    for (text, said) in [
        ("# c\nIPVS_SAVE_ON_STOP=maybe\n", ":2: IPVS_SAVE_ON_STOP=maybe: it must be yes or no"),
        ("IPVS_MODULES_UNLOAD=\"yes\n\n", ":1: a quote (\") that is not closed"),
        ("A=1\n\nIPVSADM_CONFIG=$(touch /etc/executed)\n", ":3: `$': nothing is expanded or run here"),
        ("rm -rf /etc/sysconfig\n", ":1: only assignments like NAME=VALUE can stand here"),
        ("DAEMON=master\n", ":1: a daemon needs an interface"),
    ] {
        fs::write(EL_SETTINGS, text)?;
        for verb in VERBS {
            let status = match verb {
                "panic" | "rate" => continue,
                "status" => "4",
                _ => "1",
            };
            prints(&[verb], status, &format!("{EL_SETTINGS}{said}"))?;
        }
        ensure_table(&both)?;
        ensure_file(EL_RULES, FILED)?;
    }
    ensure!(!Path::new("/etc/executed").exists(), "a setting was executed");
    fs::write(EL_SETTINGS, "IPVS_SAVE_ON_STOPP=yes\n")?;
    prints(&["start"], "0", "/etc/sysconfig/ipvsadm-config:1: IPVS_SAVE_ON_STOPP means nothing here")?;
    fs::remove_file(EL_SETTINGS)?;
    shell(&format!("mkfifo {EL_SETTINGS}"))?;
    prints(&["start"], "1", &format!("{EL_SETTINGS}: is a pipe that no program writes to"))?;
    fs::remove_file(EL_SETTINGS)?;
    fs::create_dir(EL_SETTINGS)?;
    prints(&["start"], "1", &format!("{EL_SETTINGS}: Is a directory"))
}

/// Tutorials save rules to the file of settings.
fn rules_in_place_of_settings() -> Result<()> {
    fs::write(EL_RULES, FILED)?;
    for (text, line) in [
        (format!("{BY_HAND}-a -t 10.0.0.2:80 -r 10.0.0.3:80 -g -w 1\n"), 1),
        (format!("# mine\nIPVS_SAVE_ON_STOP=yes\n\n{BY_HAND}"), 4),
        (format!("ipvsadm {BY_HAND}IPVS_SAVE_ON_STOP=yes\n"), 1),
    ] {
        fs::write(EL_SETTINGS, text)?;
        for verb in ["start", "reload", "restart", "save"] {
            let output = service(&[verb])?;
            let said = format!(
                "{EL_SETTINGS}:{line}: looks like rules, and this file is for settings: not loaded; rules are loaded from \
                 {EL_RULES}\n"
            );
            ensure!(output.status == "0" && output.stderr == said, "{verb}: {output:?}");
            ensure_table(FILED)?;
        }
    }
    // The settings beside them count.
    add(BY_HAND)?;
    prints(&["stop"], "0", "looks like rules")?;
    ensure_file(EL_RULES, &saved(&format!("{FILED}{BY_HAND}{TIMEOUTS}")))?;
    // What is neither is still an error; and so are rules in SUSE's file of settings, which is EL's file of rules.
    fs::write(EL_SETTINGS, "rules\n")?;
    prints(&["start"], "1", "only assignments like NAME=VALUE can stand here")?;
    fs::write(EL_SETTINGS, "")?;
    fs::write(EL_RULES, format!("IPVSADM_CONFIG=/etc/rules\n{FILED}"))?;
    prints(&["start"], "1", "/etc/sysconfig/ipvsadm:2: only assignments like NAME=VALUE can stand here")
}

fn which_file_is_which() -> Result<()> {
    let is_loaded_from = |path: &str| -> Result<()> {
        add("-C")?;
        done(&["start"])?;
        ensure!(table()? == BY_HAND, "the rules were not loaded from {path}");
        Ok(())
    };
    // Debian's is second to EL's.
    fs::write(RULES, BY_HAND)?;
    is_loaded_from(RULES)?;
    fs::write(RULES, FILED)?;
    fs::write(EL_RULES, BY_HAND)?;
    is_loaded_from(EL_RULES)?;
    // SUSE's file of variables has EL's name for rules.
    fs::write("/etc/suse.rules", BY_HAND)?;
    fs::write(EL_RULES, "## Path: Network\n#\nIPVSADM_CONFIG=\"/etc/suse.rules\" # here\n")?;
    is_loaded_from("/etc/suse.rules")?;
    fs::write(RULES, BY_HAND)?;
    fs::write(EL_RULES, "IPVSADM_CONFIG=\"\"\n")?;
    is_loaded_from(RULES)?;
    // The program's own file has the last word, and the other spelling counts.
    fs::write(EL_RULES, "IPVSADM_CONFIG=/etc/suse.rules\n")?;
    fs::write("/etc/own.rules", BY_HAND)?;
    fs::write("/etc/suse.rules", FILED)?;
    fs::write("/etc/default/ipvsadm-rs", "export IPVSADM_CONFIG='/etc/own.rules'\n")?;
    is_loaded_from("/etc/own.rules")?;
    fs::remove_file("/etc/default/ipvsadm-rs")?;
    fs::remove_file(EL_RULES)?;
    fs::write("/etc/sysconfig/ipvsadm_config", "IPVSADM_CONFIG=/etc/\\\nown.rules\n")?;
    is_loaded_from("/etc/own.rules")
}

fn daemons_of_the_settings() -> Result<()> {
    fs::write(EL_RULES, format!("{FILED}--start-daemon master --mcast-interface=lo --syncid 5\n"))?;
    done(&["start"])?;
    ensure!(daemons()?.starts_with("master sync daemon (mcast=lo, syncid=5,"), "the file's daemon does not run");
    // The settings have the last word, and what runs as they say is not started again.
    fs::write(DEBIAN_SETTINGS, "AUTO=true\nDAEMON=both\nIFACE=lo\nSYNCID=7\n")?;
    for _ in 0..2 {
        done(&["start"])?;
        let running = daemons()?;
        let of_settings = running.lines().filter(|line| line.contains("sync daemon (mcast=lo, syncid=7,"));
        ensure!(of_settings.count() == 2 && running.lines().count() == 2, "{running}");
    }
    // They need not be in the file then.
    done(&["save"])?;
    ensure_file(EL_RULES, &saved(&format!("{FILED}{TIMEOUTS}")))?;
    // Debian's AUTO=false: the daemons are the service's affair and the rules are not.
    fs::write(DEBIAN_SETTINGS, "AUTO=false\nDAEMON=master\nIFACE=lo\nSYNCID=7\n")?;
    done(&["stop"])?;
    ensure!(daemons()?.starts_with("backup sync daemon"), "not the right daemon was stopped");
    ensure_table(FILED)?;
    fs::write(DEBIAN_SETTINGS, "AUTO=true\n")?;
    done(&["stop"])?;
    ensure!(daemons()?.is_empty(), "a daemon was not stopped");
    // One that cannot be is reported, with its place; the rules are there.
    fs::write(DEBIAN_SETTINGS, "AUTO=true\nIFACE=none-such\nDAEMON=backup\n")?;
    prints(&["start"], "1", "/etc/default/ipvsadm:3: ")?;
    ensure_table(FILED)
}

// ---- saving ---------------------------------------------------------------------------------------------------------

fn timeouts_and_daemons_come_back() -> Result<()> {
    add(&format!("{FILED}--set 1000 200 400\n--start-daemon backup --mcast-interface lo --syncid 3\n"))?;
    let (timeouts, running) = (succeed(&["-L", "--timeout"])?, daemons()?);
    ensure!(timeouts.contains("1000 200 400"), "{timeouts}");
    fs::write(EL_SETTINGS, "IPVS_SAVE_ON_STOP=yes\n")?;
    done(&["stop"])?;
    ensure!(!is_loaded(), "it is still there");
    ensure!(daemons()?.is_empty() && succeed(&["-L", "--timeout"])? != timeouts, "stopping does nothing to them");
    done(&["start"])?;
    ensure_table(FILED)?;
    ensure!(daemons()? == running, "the daemon is not the same");
    ensure!(succeed(&["-L", "--timeout"])? == timeouts, "the timeouts are not the same");
    Ok(())
}

fn an_empty_table_over_rules() -> Result<()> {
    let file = format!("# mine\n{FILED}");
    fs::write(EL_RULES, &file)?;
    prints(&["save"], "1", "/etc/sysconfig/ipvsadm: it has rules and the table has none")?;
    ensure_file(EL_RULES, &file)?;
    // A daemon is not worth the rules.
    add("--start-daemon backup --mcast-interface lo --syncid 3")?;
    prints(&["save"], "1", "it has rules")?;
    fs::write(EL_SETTINGS, "IPVS_SAVE_ON_STOP=yes\nIPVS_SAVE_ON_RESTART=yes\n")?;
    prints(&["stop"], "0", "it has rules")?;
    ensure_file(EL_RULES, &file)?;
    // Without IPVS in the kernel there is nothing to look at.
    prints(&["save"], "0", "IPVS is not loaded")?;
    ensure!(!is_loaded(), "saving has loaded it");
    ensure_file(EL_RULES, &file)?;
    add("-C")?;
    prints(&["restart"], "0", "it has rules")?;
    ensure_table(FILED)?;
    add("-C")?;
    done(&["save", "--force"])?;
    ensure_file(EL_RULES, &saved(TIMEOUTS))?;
    // What has no rules may be replaced.
    fs::write(EL_RULES, "# nothing\n\n--set 1 2 3\n")?;
    done(&["save"])?;
    ensure_file(EL_RULES, &saved(TIMEOUTS))
}

fn the_mode_of_the_file() -> Result<()> {
    let mode = || -> Result<u32> { Ok(fs::metadata(EL_RULES)?.permissions().mode() & 0o7777) };
    add(FILED)?;
    done(&["save"])?;
    ensure!(mode()? == 0o600, "a new file has mode {:o}", mode()?);
    fs::set_permissions(EL_RULES, fs::Permissions::from_mode(0o640))?;
    add(BY_HAND)?;
    done(&["save"])?;
    ensure!(mode()? == 0o640, "the mode is now {:o}", mode()?);
    ensure_file(EL_RULES, &saved(&format!("{FILED}{BY_HAND}{TIMEOUTS}")))
}

/// What is saved with names is read back, though two addresses have one name, or two ports.
fn names_that_are_alike() -> Result<()> {
    fs::write(
        "/etc/hosts",
        "127.0.0.1 localhost\n10.0.0.1 www\n10.0.0.2 www\n10.0.0.3 one\n10.0.0.11 web\n10.0.0.12 web\n",
    )?;
    fs::write("/etc/services", "http 80/tcp\nhttp 8008/tcp\n")?;
    let rules = "-A -t 10.0.0.1:80 -s rr\n\
                 -a -t 10.0.0.1:80 -r 10.0.0.3:80 -g -w 1\n\
                 -a -t 10.0.0.1:80 -r 10.0.0.11:80 -g -w 1\n\
                 -a -t 10.0.0.1:80 -r 10.0.0.12:80 -g -w 2\n\
                 -A -t 10.0.0.2:80 -s wrr\n\
                 -a -t 10.0.0.2:80 -r 10.0.0.11:80 -g -w 1\n\
                 -A -t 10.0.0.3:80 -s rr\n\
                 -a -t 10.0.0.3:80 -r 10.0.0.11:80 -m -w 1\n\
                 -a -t 10.0.0.3:80 -r 10.0.0.11:8008 -m -w 1\n\
                 -A -u 10.0.0.1:80 -s rr\n";
    let named = "-A -t 10.0.0.1:80 -s rr\n\
                 -a -t 10.0.0.1:80 -r one:http -g -w 1\n\
                 -a -t 10.0.0.1:80 -r 10.0.0.11:80 -g -w 1\n\
                 -a -t 10.0.0.1:80 -r 10.0.0.12:80 -g -w 2\n\
                 -A -t 10.0.0.2:80 -s wrr\n\
                 -a -t 10.0.0.2:80 -r web:http -g -w 1\n\
                 -A -t one:http -s rr\n\
                 -a -t one:http -r 10.0.0.11:80 -m -w 1\n\
                 -a -t one:http -r 10.0.0.11:8008 -m -w 1\n\
                 -A -u www:80 -s rr\n";
    add(rules)?;
    ensure_table(rules)?;
    let saved = succeed(&["-S"])?;
    ensure!(saved == named, "{}", support::difference(named, &saved));
    for mode in [&["-R"][..], &["-R", "--replace"]] {
        add("-C")?;
        let output = Invocation { stdin: saved.as_bytes(), ..Invocation::of(mode) }.run(&support::ours())?;
        ensure!(output.status == "0" && output.stderr.is_empty(), "{output:?}");
        ensure_table(rules)?;
    }
    Ok(())
}

/// The services of EL 7 and later save on every stop, so people expect that.
fn rules_in_no_file() -> Result<()> {
    for (file, stderr) in [
        (None, "4 rules of the table were in no file\n"),
        (Some(String::new()), "4 rules of the table were in no file\n"),
        (Some("-A -t 10.0.0.2:80 -s rr\n".to_owned()), "3 rules of the table were in no file\n"),
        (Some(FILED.to_owned()), "1 rule of the table was in no file\n"),
        // Another weight.
        (Some(format!("{FILED}{BY_HAND}").replace("-w 3", "-w 2")), "1 rule of the table was in no file\n"),
        (Some(format!("{FILED}{BY_HAND}-A -f 1\n")), ""),
    ] {
        drop(fs::remove_file(EL_RULES));
        if let Some(file) = file {
            fs::write(EL_RULES, file)?;
        }
        add(&format!("-C\n{FILED}{BY_HAND}"))?;
        let output = service(&["stop"])?;
        let (said, copy) = match output.stderr.split_once("to restore the table from before: ipvsadm ") {
            Some((said, copy)) => (said, Some(copy.trim_end())),
            None => (output.stderr.as_str(), None),
        };
        ensure!(output.status == "0" && said == stderr, "{stderr:?}: {output:?}");
        ensure_table("")?;
        // And where they are now.
        ensure!(copy.is_some() != stderr.is_empty(), "{output:?}");
        if let Some(copy) = copy {
            succeed(&copy.split(' ').collect::<Vec<_>>())?;
            ensure_table(&format!("{FILED}{BY_HAND}"))?;
        }
    }
    Ok(())
}

fn a_full_disk() -> Result<()> {
    shell("mount -t tmpfs -o size=8k tmpfs /etc/sysconfig")?;
    fs::write(EL_RULES, FILED)?;
    fs::write(DEBIAN_SETTINGS, "IPVS_SAVE_ON_STOP=yes\nIPVS_SAVE_ON_RESTART=yes\n")?;
    let many: String = (0..200).map(|host| format!("-A -t 10.1.0.{host}:80 -s rr\n")).collect();
    add(&many)?;
    for verb in ["save", "stop", "restart", "force-reload"] {
        prints(&[verb], "1", "/etc/sysconfig/ipvsadm: the rules are not saved: No space left on device")?;
        ensure_table(&many)?;
        ensure_file(EL_RULES, FILED)?;
        let names = fs::read_dir("/etc/sysconfig")?.count();
        ensure!(names == 1, "{verb} leaves {names} files");
    }
    // systemd starts again after a stop that failed or not: the rules that could not be saved must live.
    fs::create_dir_all("/run/ipvsadm-rs")?;
    fs::write(MARK, "")?;
    prints(&["start"], "1", "the rules are not saved")?;
    ensure_table(&many)
}

// ---- trouble --------------------------------------------------------------------------------------------------------

fn modules_in_use() -> Result<()> {
    add(FILED)?;
    let ours = support::ours();
    support::in_fresh_namespace(|| {
        let output = Invocation::of(&["-A", "-f", "1", "-s", "rr"]).run(&ours)?;
        ensure!(output.status == "0", "{output:?}");
        // The trial's own namespace is the first process's.
        let output =
            Command::new("nsenter").args(["--net=/proc/1/ns/net"]).arg(&ours).args(["service", "stop"]).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(1), "{output:?}");
        ensure!(said.contains("these kernel modules cannot be unloaded: ip_vs_rr ip_vs ("), "{said}");
        let output = Invocation::of(&["-C"]).run(&ours)?;
        ensure!(output.status == "0", "{output:?}");
        Ok(())
    })?;
    ensure_table("")?;
    fs::write(EL_SETTINGS, "IPVS_MODULES_UNLOAD=no")?;
    add(FILED)?;
    prints(&["stop"], "0", "3 rules of the table were in no file")?;
    ensure!(is_loaded(), "it was unloaded");
    ensure_table("")
}

fn status_without_ipvs() -> Result<()> {
    done(&["stop"])?;
    let output = service(&["status"])?;
    ensure!((output.status.as_str(), output.stdout.as_str()) == ("3", "IPVS is not loaded.\n"), "{output:?}");
    ensure!(!is_loaded(), "asking has loaded it");
    // Stopping what is stopped is not a failure, nor does it load anything.
    done(&["stop"])?;
    done(&["panic"])?;
    ensure!(!is_loaded(), "stopping has loaded it");
    table().map(drop)
}

fn status_as_json() -> Result<()> {
    add(&format!("{FILED}--start-daemon backup --mcast-interface lo --syncid 3\n"))?;
    let body = "\"ipvs_loaded\":true,\"virtual_services\":1,\"real_servers\":2,\
                \"daemons\":[{\"role\":\"backup\",\"interface\":\"lo\",\"sync_id\":3}],\
                \"rules_file\":\"/etc/sysconfig/ipvsadm\",\"not_loaded\":[]";
    let output = service(&["status", "--json"])?;
    ensure!(output.status == "0", "{output:?}");
    ensure!(
        output.stdout == format!("{{\"schema\":1,\"service_status\":{{\"running\":true,{body}}}}}\n"),
        "{output:?}"
    );
    prints(&["stop"], "0", "3 rules of the table were in no file")?;
    let output = service(&["status", "--json"])?;
    ensure!(output.status == "3" && output.stdout.contains("\"running\":false,\"ipvs_loaded\":false"), "{output:?}");
    table().map(drop)
}

fn two_at_once() -> Result<()> {
    add(BY_HAND)?;
    // The first one holds the lock while it waits for its rules.
    shell("mkfifo /etc/slow.rules")?;
    fs::write(EL_SETTINGS, "IPVSADM_CONFIG=/etc/slow.rules\n")?;
    let first = Command::new(support::ours()).args(["service", "start"]).stderr(Stdio::piped()).spawn()?;
    // Opened once the other end is.
    let mut rules = File::options().write(true).open("/etc/slow.rules")?;
    fs::write(EL_SETTINGS, "")?;
    fs::write(EL_RULES, "")?;
    for verb in ["start", "stop", "restart", "reload", "force-reload", "save", "load"] {
        prints(&[verb], "1", &format!("another ipvsadm-rs service is at work: process {} holds {LOCK}", first.id()))?;
        ensure_table(BY_HAND)?;
        ensure_file(EL_RULES, "")?;
    }
    prints(&["status"], "0", "")?;
    rules.write_all(FILED.as_bytes())?;
    drop(rules);
    let output = first.wait_with_output()?;
    ensure!(output.status.success(), "{output:?}");
    // What comes by a pipe can be read once, and is both counted and loaded.
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(stderr.starts_with("1 rule of the table was in no file\n"), "{stderr}");
    ensure_table(FILED)?;
    done(&["save"])?;
    ensure_file(EL_RULES, &saved(&format!("{FILED}{TIMEOUTS}")))
}

/// The lock that other commands take as well: it is waited for, and nothing is done without it.
fn the_tables_lock() -> Result<()> {
    add(BY_HAND)?;
    fs::write(EL_SETTINGS, "IPVS_SAVE_ON_STOP=yes\nIPVS_SAVE_ON_RESTART=yes\n")?;
    fs::write(EL_RULES, FILED)?;
    let holder = support::Holder::start()?;
    for verb in ["start", "stop", "restart", "reload", "force-reload", "load", "save"] {
        prints(&[verb, "--lock-wait", "0"], "1", &format!("{} is changing the table: not done", holder.name()))?;
        ensure_file(EL_RULES, FILED)?;
    }
    prints(&["start", "--lock-wait", "2678401"], "2", "2678401 is not in")?;
    let mut saving = Command::new(support::ours());
    let mut saving = saving.args(["service", "save"]).stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut line = String::new();
    let mut printed = BufReader::new(saving.stderr.take().context("no standard error")?);
    printed.read_line(&mut line)?;
    ensure!(line == format!("waiting for {}, which is changing the table\n", holder.name()), "{line}");
    ensure_file(EL_RULES, FILED)?;
    drop(holder);
    let status = saving.wait()?;
    ensure!(status.success(), "{status}");
    ensure_file(EL_RULES, &saved(&format!("{BY_HAND}{TIMEOUTS}")))?;
    ensure_table(BY_HAND)?;
    done(&["save", "--lock-wait", "0"])?;
    // Each verb takes the lock once, and lets it go: saved and loaded, with daemons of the settings behind that.
    fs::write(DEBIAN_SETTINGS, "AUTO=true\nDAEMON=backup\nIFACE=lo\nSYNCID=9\n")?;
    for verb in ["start", "restart", "reload", "force-reload", "load", "stop"] {
        done(&[verb, "--lock-wait", "0"])?;
    }
    ensure_file(EL_RULES, &saved(&format!("{BY_HAND}{TIMEOUTS}")))
}

fn panic_always_works() -> Result<()> {
    fs::write(EL_SETTINGS, "IPVS_SAVE_ON_STOP=maybe\n")?;
    fs::write(EL_RULES, BY_HAND)?;
    fs::create_dir_all("/run/ipvsadm-rs")?;
    // What another process once wrote there is not the one that has it.
    fs::write(LOCK, "999999\n")?;
    let holder = support::Holder::of(Path::new(LOCK))?;
    add(FILED)?;
    prints(
        &["save"],
        "1",
        &format!("another ipvsadm-rs service is at work: process {} holds {LOCK}", holder.process()),
    )?;
    // It says where the table is now, and that file brings it back.
    let output = service(&["panic"])?;
    let command = output.stderr.trim_end().strip_prefix("to restore the table from before: ipvsadm ");
    let command: Vec<&str> = command.with_context(|| format!("{output:?}"))?.split(' ').collect();
    ensure!(output.status == "0" && output.stdout.is_empty(), "{output:?}");
    ensure_table("")?;
    succeed(&command)?;
    ensure_table(FILED)?;
    ensure_file(EL_RULES, BY_HAND)
}

fn without_privileges() -> Result<()> {
    add(FILED)?;
    for (verb, status) in [("start", "1"), ("stop", "1"), ("save", "1"), ("panic", "1"), ("status", "4")] {
        let output = Invocation { uid: Some(65534), ..Invocation::of(&["service", verb]) }.run(&support::ours())?;
        ensure!(output.status == status && output.stderr.contains("ermission denied"), "{verb}: {output:?}");
    }
    ensure_table(FILED)
}

fn wrong_use() -> Result<()> {
    for words in
        [&[][..], &["begin"], &["start", "now"], &["start", "--force"], &["save", "--json"], &["stop", "--unit"]]
    {
        let output = service(words)?;
        ensure!(output.status == "2" && !output.stderr.is_empty(), "{words:?}: {output:?}");
    }
    let help = done(&["--help"])?;
    for verb in VERBS {
        ensure!(help.contains(&format!("  {verb} ")), "no {verb} in: {help}");
    }
    Ok(())
}
