//! What every test that talks to a real IPVS needs: a kernel to run in, fresh network namespaces, and programs run in
//! them.
//!
//! A test binary that uses this has `harness = false` in Cargo.toml and a `main` which calls [`run_in_kernel`] with its
//! subjects. It starts itself again in a kernel prepared by `tests/in-kernel`, once for all subjects that need the same kind
//! of kernel, and the tests run there. So such a test runs or fails, it never quietly skips. `--list` needs no kernel.
//!
//! Environment:
//! - `IPVS_IN_KERNEL`: "there is an IPVS here and I am root": the tests run here, and no kernel is started. Every test has
//!   its own network namespace, so on a machine that has IPVS itself this may be set by hand; the machine's table stays
//!   untouched. Tests that unload modules (`faults`, `service`) are not for such a machine.
//! - `IPVS_GUESTS`: how many kernels run at a time (default: the number of processors, at most 2).
//! - `IPVS_RUNNER`: a program to use in place of `tests/in-kernel`.

// Each test binary has a copy of this module and uses its own part of it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::{Mutex, Once, OnceLock, mpsc};
use std::time::{Duration, Instant};
use std::{env, thread};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use ipvsadm_rs::host::lock::{Lock, Share, TABLE_LOCK, TableLock};
use libtest_mimic::Arguments;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{self, AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, SockaddrStorage};
use nix::unistd::Pid;

/// What the kernel for the tests of a subject must be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guest {
    /// Memory in MiB.
    pub memory: u32,
    /// Seconds after which a guest is given up.
    pub timeout: u32,
    /// Whether the tests may be dealt out to several guests.
    pub divisible: bool,
    /// Whether it must not be the machine's own kernel, and they run one after the other, as the tests load and unload modules.
    pub own: bool,
    /// The one kernel that will do, as `tests/in-kernel --kernel` takes it.
    pub kernel: Option<&'static str>,
    /// Whether this machine's own kernel will do as it is, in namespaces of the tests' own.
    pub here: bool,
}

impl Default for Guest {
    fn default() -> Self {
        Self { memory: 512, timeout: 1200, divisible: false, own: false, kernel: None, here: false }
    }
}

impl Guest {
    /// What most tests need: any kernel with IPVS, and they may be dealt out to several.
    pub fn any() -> Self {
        Self { divisible: true, ..Self::default() }
    }
}

/// Something to try: its name, and what is done.
pub type Trial = (String, Box<dyn FnOnce() -> Result<()> + Send>);

/// Makes a [`Trial`].
pub fn trial(name: impl Into<String>, run: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    (name.into(), Box::new(run))
}

/// Tests of one subject.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// What the names of its trials begin with, before `::`.
    pub name: &'static str,
    /// The kernel that it needs. Subjects that need the same share it.
    pub guest: fn() -> Guest,
    /// What has to be done once in that kernel before any trial, and before there are threads.
    pub prepare: fn() -> Result<()>,
    /// The trials.
    pub trials: fn() -> Result<Vec<Trial>>,
}

impl Subject {
    /// A subject without trials that needs any kernel, and nothing prepared.
    pub fn named(name: &'static str) -> Self {
        Self { name, guest: Guest::any, prepare: || Ok(()), trials: || Ok(Vec::new()) }
    }

    /// Its trials that the command line asks for.
    fn chosen(&self, arguments: &Arguments) -> Result<Vec<libtest_mimic::Trial>> {
        let trials = (self.trials)()?.into_iter().map(|(name, run)| {
            libtest_mimic::Trial::test(format!("{}::{name}", self.name), || {
                run().map_err(|error| libtest_mimic::Failed::from(format!("{error:#}")))
            })
        });
        Ok(trials.filter(|trial| !arguments.is_filtered_out(trial)).collect())
    }
}

/// In a guest: the names of the subjects whose trials run there, with commas between them.
const SUBJECTS: &str = "IPVS_SUBJECTS";
/// In a guest: which of how many it is, as `NUMBER/OF`.
const SHARE: &str = "IPVS_SHARE";

/// The `main` of a test binary that needs a kernel with IPVS.
pub fn run_in_kernel(subjects: &[Subject]) -> ExitCode {
    if env::args().nth(1).as_deref() == Some(HOLD) {
        return hold(env::args_os().nth(2).map(PathBuf::from)).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    let arguments = Arguments::from_args();
    let done = match env::var(SUBJECTS) {
        Ok(names) => run_here(subjects, &names, arguments),
        Err(_) => start_guests(subjects, &arguments),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: the tests did not run: {error:#}");
        ExitCode::from(101)
    })
}

/// Runs this guest's share of the trials of the subjects with these names.
fn run_here(subjects: &[Subject], names: &str, mut arguments: Arguments) -> Result<ExitCode> {
    let mut trials = Vec::new();
    for subject in subjects.iter().filter(|subject| names.split(',').any(|name| name == subject.name)) {
        (subject.prepare)().with_context(|| format!("preparing {}", subject.name))?;
        trials.extend(subject.chosen(&arguments)?);
        if (subject.guest)().own {
            arguments.test_threads = Some(1);
        }
    }
    let share = env::var(SHARE).unwrap_or_default();
    let numbers = share.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
    let (number, of): (usize, usize) = numbers.unwrap_or((0, 1));
    let trials = trials.into_iter().skip(number).step_by(of.max(1)).collect();
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

/// Runs this binary again in as many kernels as are needed or of use. Without any trial to run it starts none.
fn start_guests(subjects: &[Subject], arguments: &Arguments) -> Result<ExitCode> {
    let mut groups: Vec<(Guest, Vec<&str>, usize)> = Vec::new();
    let mut listed = Vec::new();
    for subject in subjects {
        let trials = subject.chosen(arguments)?;
        if arguments.list {
            listed.extend(trials);
        } else if !trials.is_empty() {
            let guest = (subject.guest)();
            match groups.iter_mut().find(|(other, ..)| *other == guest) {
                Some((_, names, count)) => {
                    names.push(subject.name);
                    *count += trials.len();
                }
                None => groups.push((guest, vec![subject.name], trials.len())),
            }
        }
    }
    if groups.is_empty() {
        return Ok(libtest_mimic::run(arguments, listed).exit_code());
    }
    let wanted = env::var("IPVS_GUESTS").ok().and_then(|number| number.parse().ok());
    let at_once = match wanted {
        // Here is one kernel for all.
        _ if env::var_os("IPVS_IN_KERNEL").is_some() => 1,
        Some(number) => usize::max(number, 1),
        None => thread::available_parallelism().map_or(1, usize::from).min(2),
    };
    let mut commands = Vec::new();
    for (guest, names, trials) in groups {
        let guests = if guest.divisible { at_once.min(trials.div_ceil(WORTH_A_GUEST)) } else { 1 };
        for number in 0..guests {
            let mut command = start_of(guest)?;
            command.env(SUBJECTS, names.join(",")).env(SHARE, format!("{number}/{guests}"));
            commands.push(command);
        }
    }
    let all_well = run_all(commands, at_once)?;
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::from(101) })
}

/// For how many trials another kernel is started.
const WORTH_A_GUEST: usize = 6;

/// This binary again with the same words, in a kernel like that.
fn start_of(guest: Guest) -> Result<Command> {
    let this = env::current_exe().context("the path of this test binary")?;
    let mut command = if guest.here || env::var_os("IPVS_IN_KERNEL").is_some() {
        Command::new(this)
    } else {
        let runner = env::var_os("IPVS_RUNNER")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/in-kernel"), PathBuf::from);
        let mut command = Command::new(runner);
        command.args(guest.kernel.iter().flat_map(|kernel| ["--kernel", kernel]));
        command.args(["--memory", &guest.memory.to_string(), "--timeout", &guest.timeout.to_string(), "--"]);
        command.arg(this);
        command
    };
    command.args(env::args_os().skip(1));
    command.env(
        "IPVS_TEST_KERNEL",
        match env::var("IPVS_TEST_KERNEL") {
            Ok(kernel) if !guest.own || !["auto", "host"].contains(&kernel.as_str()) => kernel,
            _ if guest.own => "uml".to_owned(),
            _ => "auto".to_owned(),
        },
    );
    Ok(command)
}

/// Runs these, this many at once; says whether all of them succeeded. What they print comes in their order.
fn run_all(commands: Vec<Command>, at_once: usize) -> Result<bool> {
    let queue = Mutex::new(commands.into_iter().enumerate());
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..at_once {
            let (queue, sender) = (&queue, sender.clone());
            scope.spawn(move || {
                loop {
                    let Some((number, mut command)) = queue.lock().ok().and_then(|mut queue| queue.next()) else {
                        return;
                    };
                    if number > 0 {
                        command.stdout(Stdio::piped()).stderr(Stdio::piped());
                    }
                    let output = command.spawn().and_then(Child::wait_with_output);
                    let output = output.with_context(|| format!("running {}", command.get_program().display()));
                    drop(sender.send((number, output)));
                }
            });
        }
        drop(sender);
        let (mut all_well, mut next, mut waiting) = (true, 0, BTreeMap::new());
        for (number, output) in receiver {
            waiting.insert(number, output?);
            while let Some(output) = waiting.remove(&next) {
                std::io::stdout().write_all(&output.stdout)?;
                std::io::stderr().write_all(&output.stderr)?;
                all_well &= output.status.success();
                next += 1;
            }
        }
        Ok(all_well)
    })
}

/// The program under test: ours, or what IPVSADM_UNDER_TEST names. In a kernel of the tests every user can start it.
pub fn ours() -> PathBuf {
    static REACHABLE: OnceLock<PathBuf> = OnceLock::new();
    let program = || {
        env::var_os("IPVSADM_UNDER_TEST").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_ipvsadm-rs")), PathBuf::from)
    };
    if env::var_os("IPVS_IN_KERNEL").is_none() {
        return program();
    }
    REACHABLE.get_or_init(|| reachable(program()).expect("a place where every user can start the program")).clone()
}

/// The program itself if every user may enter the folders above it; below a home of mode 0700, say, a copy of it.
fn reachable(program: PathBuf) -> Result<PathBuf> {
    /// The kernel's own, in memory; see tests/in-kernel.
    const FOLDER: &str = "/dev/shm/under-test";
    let entered = |folder: &Path| fs::metadata(folder).is_ok_and(|folder| folder.permissions().mode() & 0o001 != 0);
    if program.ancestors().skip(1).all(entered) {
        return Ok(program);
    }
    let copy = Path::new(FOLDER).join(program.file_name().context("the program's name")?);
    if !copy.exists() {
        fs::create_dir_all(FOLDER)?;
        fs::set_permissions(FOLDER, fs::Permissions::from_mode(0o755))?;
        // In one step, as another process may want it, too.
        let begun = copy.with_extension(std::process::id().to_string());
        fs::copy(&program, &begun)?;
        fs::rename(&begun, &copy)?;
    }
    Ok(copy)
}

/// The original, from the distribution's package.
pub fn original() -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = [PathBuf::from("/sbin"), PathBuf::from("/usr/sbin")].into_iter().chain(env::split_paths(&path));
    directories
        .map(|directory| directory.join("ipvsadm"))
        .find(|program| program.is_file())
        .context("the original is not installed (Debian: apt-get install ipvsadm)")
}

/// A run of a program, everything as it came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit status, or `signal N`.
    pub status: String,
    /// Standard output; what is not UTF-8 is replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
}

/// How to run a program.
#[derive(Debug, Clone, Default)]
pub struct Invocation<'a> {
    /// The words after the program's name.
    pub words: Vec<&'a OsStr>,
    /// What it reads; empty means /dev/null.
    pub stdin: &'a [u8],
    /// A file in place of a pipe for its standard output.
    pub stdout: Option<&'a Path>,
    /// As which user.
    pub uid: Option<u32>,
}

impl<'a> Invocation<'a> {
    /// Just words.
    pub fn of(words: &'a [&'a str]) -> Self {
        Self { words: words.iter().map(|word| OsStr::new(*word)).collect(), ..Self::default() }
    }

    /// Runs `program` in the namespaces of this thread, under the name `ipvsadm`.
    pub fn run(&self, program: &Path) -> Result<Output> {
        let mut command = Command::new(program);
        command.arg0("ipvsadm").args(&self.words).stderr(Stdio::piped());
        command.stdin(if self.stdin.is_empty() { Stdio::null() } else { Stdio::piped() });
        command.stdout(match self.stdout {
            Some(file) => File::options().write(true).open(file)?.into(),
            None => Stdio::piped(),
        });
        if let Some(uid) = self.uid {
            command.uid(uid).gid(uid);
        }
        let mut child = command.spawn().with_context(|| format!("starting {}", program.display()))?;
        let input = child.stdin.take();
        let watched = watch(child.id());
        let output = thread::scope(|scope| {
            if let Some(mut input) = input {
                // A program that does not read to the end is its own affair.
                if self.stdin.len() <= PIPE_HOLDS {
                    drop(input.write_all(self.stdin));
                } else {
                    scope.spawn(move || drop(input.write_all(self.stdin)));
                }
            }
            child.wait_with_output()
        })?;
        drop(watched);
        Ok(Output {
            status: describe(output.status),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            // Debian's 1:1.31-5 says it in other words than the packages before.
            stderr: String::from_utf8_lossy(&output.stderr).replace("-6 used before -f", "-6 must follow -f"),
        })
    }
}

/// What can be written into a pipe before anybody reads.
const PIPE_HOLDS: usize = 4096;

/// How long a program may run.
const PATIENCE: Duration = Duration::from_secs(60);

/// The programs that run now, and since when.
static RUNNING: Mutex<BTreeMap<u32, Instant>> = Mutex::new(BTreeMap::new());

/// Ends the watch over a program.
#[derive(Debug)]
struct Watched(u32);

impl Drop for Watched {
    fn drop(&mut self) {
        if let Ok(mut running) = RUNNING.lock() {
            running.remove(&self.0);
        }
    }
}

/// A program that has not ended after a minute is killed, which shows as its exit status.
fn watch(process: u32) -> Watched {
    static WATCHMAN: Once = Once::new();
    WATCHMAN.call_once(|| {
        thread::spawn(|| {
            loop {
                thread::sleep(PATIENCE / 10);
                let Ok(running) = RUNNING.lock() else { return };
                for (process, _) in running.iter().filter(|(_, since)| since.elapsed() > PATIENCE) {
                    if let Ok(process) = i32::try_from(*process) {
                        // It may just have ended by itself.
                        let _ = kill(Pid::from_raw(process), Signal::SIGKILL);
                    }
                }
            }
        });
    });
    if let Ok(mut running) = RUNNING.lock() {
        running.insert(process, Instant::now());
    }
    Watched(process)
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => code.to_string(),
        (_, Some(signal)) => format!("signal {signal}"),
        _ => "unknown".to_owned(),
    }
}

/// Waits for what has to come, however slow the machine is.
pub fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !holds()? {
        ensure!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Runs `work` on a thread of its own in a fresh network namespace whose `lo` is up. Programs started by it are in the
/// same namespace.
pub fn in_fresh_namespace<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).context("a new network namespace (not root?)")?;
            Links::new()?.bring_up("lo")?;
            let result = work();
            retire(File::open("/proc/thread-self/ns/net")?);
            result
        });
        worker.join().map_err(|_| anyhow!("the test panicked"))?
    })
}

/// Keeps a namespace that is done with for a while: the kernel takes nearly as long to clear away one as many.
fn retire(namespace: File) {
    static RETIRED: Mutex<Vec<File>> = Mutex::new(Vec::new());
    if let Ok(mut retired) = RETIRED.lock() {
        if retired.len() >= 100 {
            retired.clear();
        }
        retired.push(namespace);
    }
}

/// Lays `file` over `target` for this process and what it starts (call it before any thread exists).
pub fn lay_over(file: &Path, target: &str) -> Result<()> {
    let status = Command::new("mount").arg("--bind").arg(file).arg(target).status().context("mount")?;
    ensure!(status.success(), "mount --bind {} {target}: {status}", file.display());
    Ok(())
}

/// A private view of the mounted file systems for this process, so that [`lay_over`] stays its own affair.
pub fn private_mounts() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("a new mount namespace (not root?)")?;
    let status = Command::new("mount").args(["--make-rprivate", "/"]).status().context("mount")?;
    ensure!(status.success(), "mount --make-rprivate /: {status}");
    Ok(())
}

/// Changes the links and addresses of this thread's network namespace without starting a program.
#[derive(Debug)]
pub struct Links {
    socket: OwnedFd,
}

const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const NLM_F_REQUEST_ACK: u16 = 0x5;
const NLM_F_CREATE: u16 = 0x400;
const IFF_UP: u32 = 1;
const IFA_F_NODAD: u8 = 2;

impl Links {
    /// Opens the way to the kernel.
    pub fn new() -> Result<Self> {
        let (family, protocol) = (AddressFamily::Netlink, SockProtocol::NetlinkRoute);
        let socket = socket::socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        socket::bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(Self { socket })
    }

    /// Sets a link up.
    pub fn bring_up(&self, name: &str) -> Result<()> {
        let index = nix::net::if_::if_nametoindex(name)?;
        self.request(RTM_NEWLINK, 0, &link_header(index)).with_context(|| format!("bringing {name} up"))
    }

    /// Adds a dummy interface, up.
    pub fn add_dummy(&self, name: &str) -> Result<()> {
        let mut body = link_header(0);
        body.extend(attribute(3, &[name.as_bytes(), &[0]].concat()));
        body.extend(attribute(18, &attribute(1, b"dummy")));
        self.request(RTM_NEWLINK, NLM_F_CREATE, &body).with_context(|| format!("adding dummy {name}"))
    }

    /// Adds an address to a link.
    pub fn add_address(&self, name: &str, address: IpAddr, prefix: u8) -> Result<()> {
        let index = nix::net::if_::if_nametoindex(name)?;
        let (family, bytes) = match address {
            IpAddr::V4(address) => (2, address.octets().to_vec()),
            IpAddr::V6(address) => (10, address.octets().to_vec()),
        };
        let mut body = vec![family, prefix, IFA_F_NODAD, 0];
        body.extend(index.to_ne_bytes());
        body.extend(attribute(2, &bytes));
        body.extend(attribute(1, &bytes));
        self.request(RTM_NEWADDR, NLM_F_CREATE, &body).with_context(|| format!("adding {address} to {name}"))
    }

    fn request(&self, kind: u16, flags: u16, body: &[u8]) -> Result<()> {
        let mut message = Vec::new();
        message.extend(u32::try_from(16 + body.len())?.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend((NLM_F_REQUEST_ACK | flags).to_ne_bytes());
        message.extend([0; 8]);
        message.extend(body);
        socket::send(self.socket.as_raw_fd(), &message, MsgFlags::empty())?;
        let mut answer = [0; 4096];
        let length = socket::recv(self.socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        ensure!(length >= 20, "a short answer from rtnetlink");
        match i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]) {
            0 => Ok(()),
            error => Err(nix::Error::from_raw(-error).into()),
        }
    }
}

/// An `ifinfomsg` that sets the link up.
fn link_header(index: u32) -> Vec<u8> {
    let mut header = vec![0; 4];
    header.extend(index.to_ne_bytes());
    header.extend(IFF_UP.to_ne_bytes());
    header.extend(IFF_UP.to_ne_bytes());
    header
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Opens a TCP connection from a given address and port. The other end need not have accepted it.
pub fn connect_tcp(from: SocketAddr, to: SocketAddr) -> Result<OwnedFd> {
    let family = if from.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let stream = socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    socket::bind(stream.as_raw_fd(), &SockaddrStorage::from(from)).with_context(|| format!("binding to {from}"))?;
    socket::connect(stream.as_raw_fd(), &SockaddrStorage::from(to)).with_context(|| format!("connecting to {to}"))?;
    Ok(stream)
}

/// Splits a line like a shell does, with little of its grammar: blanks separate; '…' is taken as it stands; in "…" and
/// outside quotes `\n`, `\t`, `\r`, `\0`, `\xHH` are those characters and any other character after `\` is itself.
pub fn split_words(line: &str) -> Result<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut rest = line.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (*first, quote) {
            (byte, Some(open)) if byte == open => quote = None,
            (byte, Some(b'\'')) => word.get_or_insert_default().push(byte),
            (b'\\', _) => {
                let (byte, tail) = unescape(rest).with_context(|| format!("in: {line}"))?;
                word.get_or_insert_default().push(byte);
                rest = tail;
            }
            (byte @ (b'\'' | b'"'), None) => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (b' ' | b'\t', None) => words.extend(word.take()),
            (byte, _) => word.get_or_insert_default().push(byte),
        }
    }
    ensure!(quote.is_none(), "a quote is left open in: {line}");
    words.extend(word);
    Ok(words)
}

/// A line in which only the escapes of [`split_words`] mean something.
pub fn unescape_line(line: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = line.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'\\' {
            let (byte, tail) = unescape(rest).with_context(|| format!("in: {line}"))?;
            bytes.push(byte);
            rest = tail;
        } else {
            bytes.push(*first);
        }
    }
    Ok(bytes)
}

fn unescape(rest: &[u8]) -> Result<(u8, &[u8])> {
    match rest {
        [b'n', tail @ ..] => Ok((b'\n', tail)),
        [b't', tail @ ..] => Ok((b'\t', tail)),
        [b'r', tail @ ..] => Ok((b'\r', tail)),
        [b'0', tail @ ..] => Ok((0, tail)),
        [b'x', high, low, tail @ ..] => {
            let digits = [*high, *low];
            Ok((u8::from_str_radix(std::str::from_utf8(&digits)?, 16)?, tail))
        }
        [byte, tail @ ..] => Ok((*byte, tail)),
        [] => bail!("nothing after \\"),
    }
}

/// Both texts line by line: `-` only in the first, `+` only in the second. Line ends are marked with `$` where a line
/// has trailing blanks.
pub fn difference(expected: &str, actual: &str) -> String {
    let left: Vec<&str> = expected.split_inclusive('\n').collect();
    let right: Vec<&str> = actual.split_inclusive('\n').collect();
    let mut common = vec![vec![0_usize; right.len() + 1]; left.len() + 1];
    for row in (0..left.len()).rev() {
        for column in (0..right.len()).rev() {
            common[row][column] = if left[row] == right[column] {
                common[row + 1][column + 1] + 1
            } else {
                usize::max(common[row + 1][column], common[row][column + 1])
            };
        }
    }
    let (mut row, mut column) = (0, 0);
    let mut text = String::new();
    let mut line = |sign: char, line: &str| {
        let end = if line.ends_with('\n') { "" } else { "⏎missing" };
        let body = line.strip_suffix('\n').unwrap_or(line);
        let mark = if body.ends_with([' ', '\t']) { "$" } else { "" };
        text.push_str(&format!("      {sign} {body}{mark}{end}\n"));
    };
    while row < left.len() || column < right.len() {
        if row < left.len() && column < right.len() && left[row] == right[column] {
            line(' ', left[row]);
            (row, column) = (row + 1, column + 1);
        } else if column == right.len() || (row < left.len() && common[row + 1][column] >= common[row][column + 1]) {
            line('-', left[row]);
            row += 1;
        } else {
            line('+', right[column]);
            column += 1;
        }
    }
    text
}

/// Asks a test binary to hold the lock on the table, or of the file that follows, until its standard input ends.
const HOLD: &str = "hold-the-table";

/// Holds the lock on the table, or the one that a file stands for.
fn hold(file: Option<PathBuf>) -> Result<()> {
    let _lock = match file {
        Some(file) => (None, Some(Lock::take(&file).map_err(|error| anyhow!("{error:?}"))?)),
        None => {
            let lock = TableLock::open(Path::new(TABLE_LOCK))?;
            while !lock.try_take(Share::Alone)? {
                thread::sleep(Duration::from_millis(1));
            }
            (Some(lock), None)
        }
    };
    println!("held");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// A process that holds the lock on the table of this thread's network namespace, until this is dropped. It must be another
/// process: the lock does not part threads.
#[derive(Debug)]
pub struct Holder(Child);

impl Holder {
    /// Starts it, and returns once it holds the lock.
    pub fn start() -> Result<Self> {
        Self::with(&[])
    }

    /// The same for the lock that this file stands for.
    pub fn of(file: &Path) -> Result<Self> {
        Self::with(&[file])
    }

    fn with(file: &[&Path]) -> Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .arg0("holder")
            .arg(HOLD)
            .args(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the holder of the lock")?;
        let stdout = child.stdout.take().context("no standard output")?;
        let holder = Self(child);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line == "held\n", "the holder of the lock says {line:?}");
        Ok(holder)
    }

    /// Its number.
    pub fn process(&self) -> u32 {
        self.0.id()
    }

    /// As messages of the program name it.
    pub fn name(&self) -> String {
        format!("process {} (holder {HOLD})", self.0.id())
    }

    /// Ends it by SIGKILL.
    pub fn kill(mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        drop(self.0.wait());
    }
}

/// Words from bytes, for [`Invocation`].
pub fn as_words(words: &[Vec<u8>]) -> Vec<&OsStr> {
    words.iter().map(|word| OsStr::from_bytes(word)).collect()
}

/// Runs the program under test in this namespace.
pub fn run(words: &[&str], stdin: &[u8]) -> Result<Output> {
    Invocation { stdin, ..Invocation::of(words) }.run(&ours())
}

/// Runs the program under test, which must succeed and say nothing on standard error. Returns what it prints.
pub fn succeed(words: &[&str], stdin: &[u8]) -> Result<String> {
    let output = run(words, stdin)?;
    ensure!(output.status == "0" && output.stderr.is_empty(), "{words:?}: {output:?}");
    Ok(output.stdout)
}
