//! Random lines of rules, given to the original and to ours, on a real kernel: what one takes the other takes, and then
//! both leave the same table. There is no list of right answers: the original is the list.
//!
//! IPVS_LINES says how many lines (2,000), IPVS_SEED where the sequence begins (1).

use std::env;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use ipvs_client::Client;
use ipvsadm_rs::grammar::{self, NoNames};

use crate::strategies::{self, Rules, rules_of};
use crate::support::{self, Guest, Invocation, Subject, Trial, in_fresh_namespace, trial};

/// Lines that are given to a program at once.
const BATCH: usize = 400;
/// After the others: a table without it was left by a program that stopped before.
const LAST: &str = "-A -f 4242 -s rr";

/// What is tried, and where.
pub fn subject() -> Subject {
    // There may be very many lines.
    let guest = || Guest { timeout: 3600, ..Guest::default() };
    Subject { guest, trials, ..Subject::named("differential") }
}

fn trials() -> Result<Vec<Trial>> {
    Ok(vec![trial("lines are understood alike", lines_are_understood_alike)])
}

fn lines_are_understood_alike() -> Result<()> {
    let number = |name: &str, default| env::var(name).map_or(Ok(default), |text| text.parse()).context(name.to_owned());
    let mut random = Random(number("IPVS_SEED", 1)?);
    let lines = number("IPVS_LINES", 2_000)? as usize;
    let (original, ours) = (support::original()?, support::ours());
    let (mut taken, mut refused) = (0, 0);
    let mut batch: Vec<String> = Vec::new();
    while taken + refused < lines {
        let line = random.line();
        let words = line.split(' ').map(str::as_bytes);
        match grammar::parse(words, &NoNames) {
            Ok(_) => {
                taken += 1;
                batch.push(line);
            }
            Err(error) => {
                refused += 1;
                let words: Vec<&str> = line.split(' ').collect();
                let printed = in_fresh_namespace(|| Invocation::of(&words).run(&original))?;
                let ours = (error.message("ipvsadm"), error.status().to_string());
                // What may have been meant instead is said by ours only.
                let first = |text: &str| text.lines().next().unwrap_or_default().to_owned();
                ensure!(
                    (first(&printed.stderr), &printed.status) == (first(&ours.0), &ours.1),
                    "{line}\nthe original says: {printed:?}\nours: {ours:?}"
                );
            }
        }
        if batch.len() == BATCH || taken + refused == lines {
            let texts: Vec<&str> = batch.iter().map(String::as_str).collect();
            compare(&original, &ours, &texts)?;
            batch.clear();
        }
    }
    println!("{taken} lines taken by both, to the same tables; {refused} refused by both");
    ensure!(taken > lines / 2 && refused > lines / 50, "that is not a test of both");
    Ok(())
}

/// Both programs make the same table of these lines; if not, the first line that makes a difference is reported.
fn compare(original: &Path, ours: &Path, lines: &[&str]) -> Result<()> {
    if same(original, ours, lines)? {
        return Ok(());
    }
    // The fewest lines from the start that make one.
    let (mut same_up_to, mut other_at) = (0, lines.len());
    while other_at - same_up_to > 1 {
        let middle = usize::midpoint(same_up_to, other_at);
        if same(original, ours, &lines[..middle])? { same_up_to = middle } else { other_at = middle }
    }
    let (lines, line) = (&lines[..other_at], lines[other_at - 1]);
    let left = table_after(original, lines)?;
    ensure!(has_last(&left), "ours takes what the original refuses: {line}");
    let right = table_after(ours, lines)?;
    let spelled = |rules: &Rules| strategies::changes(rules).map(|change| format!("{change:?}\n")).collect::<String>();
    anyhow::bail!("{line}\nmeans another thing to each:\n{}", support::difference(&spelled(&left), &spelled(&right)))
}

fn same(original: &Path, ours: &Path, lines: &[&str]) -> Result<bool> {
    let (left, right) = (table_after(original, lines)?, table_after(ours, lines)?);
    ensure!(has_last(&right), "ours stops at a line that its parser takes, of {lines:?}");
    Ok(left == right)
}

fn has_last(table: &Rules) -> bool {
    format!("{table:?}").contains("4242")
}

/// The table that a program makes of these lines.
fn table_after(program: &Path, lines: &[&str]) -> Result<Rules> {
    let text = format!("{}\n{LAST}\n", lines.join("\n"));
    in_fresh_namespace(|| {
        Invocation { stdin: text.as_bytes(), ..Invocation::of(&["-R"]) }.run(program)?;
        Ok(rules_of(&Client::connect()?.table()?))
    })
}

/// A reproducible sequence (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    /// A line about few services and servers, so that edits and deletions find something; now and then a wrong one.
    fn line(&mut self) -> String {
        let mut words = Vec::new();
        let ipv6 = self.one_in(3);
        match self.below(60) {
            0..12 => {
                words.push(self.command(&["-A", "--add-service"]));
                self.service(&mut words, ipv6);
                self.service_options(&mut words, ipv6);
            }
            12..15 => {
                words.push(self.command(&["-E", "--edit-service"]));
                self.service(&mut words, ipv6);
                self.service_options(&mut words, ipv6);
            }
            15..17 => {
                words.push(self.command(&["-D", "--delete-service"]));
                self.service(&mut words, ipv6);
            }
            17..31 => {
                words.push(self.command(&["-a", "--add-server"]));
                self.service(&mut words, ipv6);
                self.server(&mut words, ipv6);
                self.server_options(&mut words);
            }
            31..34 => {
                words.push(self.command(&["-e", "--edit-server"]));
                self.service(&mut words, ipv6);
                self.server(&mut words, ipv6);
                self.server_options(&mut words);
            }
            34..36 => {
                words.push(self.command(&["-d", "--delete-server"]));
                self.service(&mut words, ipv6);
                self.server(&mut words, ipv6);
            }
            36 => {
                words.push(self.command(&["-Z", "--zero"]));
                if self.one_in(2) {
                    self.service(&mut words, ipv6);
                }
            }
            37 => {
                words.push("--set".to_owned());
                for _ in 0..3 {
                    words.push(self.number(&["0", "1", "900", "2678400"]));
                }
            }
            38..40 => words.push(self.command(&["-C", "--clear"])),
            40..50 => {
                words.push(self.command(&["-A", "--add-service"]));
                self.service(&mut words, ipv6);
            }
            50..58 => {
                words.push(self.command(&["-a"]));
                self.service(&mut words, ipv6);
                self.server(&mut words, ipv6);
            }
            _ => {
                words.push(self.command(&["-A", "-a", "-e", "-E", "-D"]));
                self.service(&mut words, ipv6);
                for _ in 0..self.below(4) {
                    words.push(self.stray().to_owned());
                }
            }
        }
        // An option of another command, or a word that is none.
        if self.one_in(60) {
            let stray = self.stray().to_owned();
            let at = 1 + self.below(words.len());
            words.insert(at, stray);
        }
        words.join(" ")
    }

    fn command(&mut self, spellings: &[&str]) -> String {
        self.pick(spellings).to_owned()
    }

    fn stray(&mut self) -> &'static str {
        self.pick(&[
            "-g",
            "-m",
            "-i",
            "-n",
            "-c",
            "-o",
            "-6",
            "-w",
            "-w1",
            "-p",
            "-p5",
            "-s",
            "-srr",
            "--stats",
            "--rate",
            "--weight=2",
            "-x3",
            "-y2",
            "--tun-csum",
            "--tun-type=gre",
            "--sync-maxlen=90",
            "--pe=sip",
            "--no-such",
            "-q",
            "word",
            "--",
            "-gm",
            "-on",
            "-M24",
            "--exact",
            "-X",
            "--numeric",
            "-r10.0.0.2",
            "-f3",
            "-t10.0.0.1:80",
            "--timeout",
            "-b",
            "-bflag-1",
        ])
    }

    /// `-o VALUE`, `-oVALUE`, `-o=VALUE`, `--option VALUE` or `--option=VALUE`.
    fn option(&mut self, words: &mut Vec<String>, short: &str, long: &str, value: &str) {
        match if short.is_empty() { 3 + self.below(2) } else { self.below(5) } {
            0 => words.extend([short.to_owned(), value.to_owned()]),
            1 => words.push(format!("{short}{value}")),
            2 => words.push(format!("{short}={value}")),
            3 => words.extend([long.to_owned(), value.to_owned()]),
            _ => words.push(format!("{long}={value}")),
        }
    }

    /// Mostly one of these, else something on the edge of being a number.
    fn number(&mut self, usual: &[&str]) -> String {
        if !self.one_in(80) {
            return self.pick(usual).to_owned();
        }
        self.pick(&[
            "-1",
            "+3",
            "007",
            "0x10",
            "65535",
            "65536",
            "2147483647",
            "2147483648",
            "4294967295",
            "4294967296",
            "18446744073709551616",
            "1e3",
            "3x",
            "x",
            "1.5",
            "0",
        ])
        .to_owned()
    }

    fn service(&mut self, words: &mut Vec<String>, ipv6: bool) {
        if self.one_in(6) {
            let mark = self.number(&["1", "2", "3"]);
            self.option(words, "-f", "--fwmark-service", &mark);
            if ipv6 {
                words.push(self.pick(&["-6", "--ipv6"]).to_owned());
            }
            return;
        }
        let address = self.address(ipv6, "1");
        match self.below(5) {
            0 => self.option(words, "-u", "--udp-service", &address),
            1 => self.option(words, "", "--sctp-service", &address),
            _ => self.option(words, "-t", "--tcp-service", &address),
        }
    }

    fn address(&mut self, ipv6: bool, net: &str) -> String {
        if self.one_in(90) {
            return self
                .pick(&[
                    "10.0.1",
                    "10.0.1.1:",
                    ":80",
                    "10.0.0.256:80",
                    "::1:80",
                    "[::1",
                    "[::1]",
                    "[::1]80",
                    "10.0.0.1:0",
                    "0.0.0.0:80",
                    "[::]:80",
                    "1:2",
                    "10.0.0.1:65536",
                    "10.0.0.1:-1",
                    "[fe80::1]:80",
                    "0x0a000001:80",
                    "167772161:80",
                    "010.0.0.1:80",
                ])
                .to_owned();
        }
        let host = 1 + self.below(3);
        let port = self.number(&["80", "80", "443"]);
        match (ipv6, self.one_in(12)) {
            (false, false) => format!("10.0.{net}.{host}:{port}"),
            (false, true) => format!("10.0.{net}.{host}"),
            (true, false) => format!("[2001:db8:{net}::{host}]:{port}"),
            (true, true) => format!("[2001:db8:{net}::{host}]"),
        }
    }

    fn service_options(&mut self, words: &mut Vec<String>, ipv6: bool) {
        if self.one_in(2) {
            let scheduler = self.pick(&["rr", "wrr", "lc", "wlc", "sh", "mh", "dh", "nq", "sed", "fo", "ovf", "rr2"]);
            self.option(words, "-s", "--scheduler", scheduler);
        }
        if self.one_in(3) {
            if self.one_in(3) {
                words.push(self.pick(&["-p", "--persistent"]).to_owned());
            } else {
                let seconds = self.number(&["1", "60", "300", "2678400"]);
                self.option(words, "-p", "--persistent", &seconds);
            }
            if self.one_in(2) {
                let mask = match ipv6 {
                    false => {
                        self.pick(&["255.255.255.0", "255.255.255.255", "255.0.255.0", "0.0.0.0", "24", "255.255.255"])
                    }
                    true => self.pick(&["64", "128", "1", "0", "129", "ffff::"]),
                };
                self.option(words, "-M", "--netmask", mask);
            }
        }
        if self.one_in(8) {
            words.push(self.pick(&["-o", "--ops"]).to_owned());
        }
        if self.one_in(8) {
            let flags = self.pick(&[
                "flag-1",
                "flag-1,flag-2",
                "sh-port",
                "sh-fallback,sh-port",
                "mh-port",
                "flag-9",
                "flag-2",
            ]);
            self.option(words, "-b", "--sched-flags", flags);
        }
        if self.one_in(20) {
            self.option(words, "", "--pe", "sip");
        }
    }

    fn server(&mut self, words: &mut Vec<String>, ipv6: bool) {
        let ipv6 = ipv6 != self.one_in(12);
        let address = self.address(ipv6, "9");
        self.option(words, "-r", "--real-server", &address);
    }

    fn server_options(&mut self, words: &mut Vec<String>) {
        if self.one_in(2) {
            words.push(self.pick(&["-g", "-m", "-m", "--gatewaying", "--masquerading"]).to_owned());
        } else if self.one_in(2) {
            words.push(self.pick(&["-i", "--ipip"]).to_owned());
            if self.one_in(2) {
                let kind = self.pick(&["ipip", "gre", "gue", "gue", "vxlan"]);
                self.option(words, "", "--tun-type", kind);
                if kind == "gue" || self.one_in(8) {
                    let port = self.number(&["6080", "1"]);
                    self.option(words, "", "--tun-port", &port);
                }
                if self.one_in(2) {
                    words.push(self.pick(&["--tun-csum", "--tun-nocsum", "--tun-remcsum"]).to_owned());
                }
            }
        }
        for (short, long, chances) in [("-w", "--weight", 2), ("-x", "--u-threshold", 5), ("-y", "--l-threshold", 6)] {
            if self.one_in(chances) {
                let number = self.number(&["0", "1", "5", "100", "65535"]);
                self.option(words, short, long, &number);
            }
        }
    }
}
