//! The lab's clients and servers of very many connections, each a single process.
//!
//! `connections serve NAME PORT`
//!     greets each connection with NAME and sends back what it says; for "large" a line of 20,000 bytes
//! `connections hold VIP PORT NUMBER`
//!     opens NUMBER connections and keeps them. A line on standard input is a command. `say SECONDS [WORD]`: every
//!     connection that lives says a line, and has that long for the answer. `list`: "SOURCE-PORT SERVER alive|REASON" of
//!     each. `close SERVER`: its connections end. The answer to every command ends with a line that begins with "done".
//! `connections fresh VIP PORT PER-SECOND`
//!     opens that many connections a second, each for a greeting, until a line comes on standard input; prints how many there were,
//!     how many failed and how long the slowest took

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a new connection may take: TCP asks again after 1, 3 and 7 seconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// How many connections are opened at once.
const WORKERS: usize = 20;

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", name, port] => serve(name, number(port)?),
        ["hold", vip, port, many] => hold(SocketAddr::new(number(vip)?, number(port)?), number(many)?),
        ["fresh", vip, port, rate] => fresh(SocketAddr::new(number(vip)?, number(port)?), number(rate)?),
        _ => Err(io::Error::other(
            "usage: connections serve NAME PORT | hold VIP PORT NUMBER | fresh VIP PORT PER-SECOND",
        )),
    }
}

/// A number or an address.
fn number<T: std::str::FromStr>(word: &str) -> io::Result<T> {
    word.parse().map_err(|_| io::Error::other(format!("wrong: {word}")))
}

fn serve(name: &str, port: u16) -> io::Result<()> {
    // For both families.
    let listener = TcpListener::bind((IpAddr::V6(Ipv6Addr::UNSPECIFIED), port))?;
    let greeting = format!("{name}\n");
    for connection in listener.incoming() {
        let greeting = greeting.clone();
        // One that fails is the client's to notice.
        let _ = thread::Builder::new().stack_size(64 << 10).spawn(move || answer(connection?, greeting.as_bytes()));
    }
    Ok(())
}

fn answer(mut connection: TcpStream, greeting: &[u8]) -> io::Result<()> {
    connection.set_nodelay(true)?;
    connection.write_all(greeting)?;
    let mut said = [0; 4096];
    loop {
        match connection.read(&mut said)? {
            0 => return Ok(()),
            n if said[..n].starts_with(b"large ") => {
                connection.write_all(&[b'x'; 20_000])?;
                connection.write_all(&said[..n])?;
            }
            n => connection.write_all(&said[..n])?,
        }
    }
}

/// A connection that is kept.
struct Held {
    stream: TcpStream,
    port: u16,
    server: String,
    /// The end of what was heard: as much as the last answer is long.
    heard: Vec<u8>,
    lost: Option<String>,
}

impl Held {
    fn open(address: SocketAddr) -> io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let server = line(&mut stream)?;
        stream.set_nonblocking(true)?;
        let port = stream.local_addr()?.port();
        Ok(Self { stream, port, server, heard: Vec::new(), lost: None })
    }

    /// Whether the answer has come, or never will.
    fn is_settled(&mut self, answer: &[u8]) -> bool {
        let mut buffer = [0; 4096];
        while self.lost.is_none() && !self.heard.ends_with(answer) {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.lost = Some("closed".into()),
                Ok(n) => self.heard.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) => self.lost = Some(reason(&error)),
            }
        }
        true
    }
}

fn line(stream: &mut TcpStream) -> io::Result<String> {
    let mut said = String::new();
    io::BufReader::with_capacity(64, stream).read_line(&mut said)?;
    match said.strip_suffix('\n') {
        Some(said) => Ok(said.into()),
        None => Err(ErrorKind::UnexpectedEof.into()),
    }
}

fn reason(error: &io::Error) -> String {
    format!("{:?}", error.kind())
}

fn hold(address: SocketAddr, number: usize) -> io::Result<()> {
    // Several at once: a server that still has an old connection from the same port makes a new one wait for a second.
    let opened = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let opened = &opened;
            scope.spawn(move || {
                for _ in (worker..number).step_by(WORKERS) {
                    match (Held::open(address), opened.lock()) {
                        (Ok(one), Ok(mut opened)) => opened.push(one),
                        (Err(error), _) => println!("not opened: {error}"),
                        _ => {}
                    }
                }
            });
        }
    });
    let mut held = opened.into_inner().unwrap_or_default();
    println!("done opened {} of {number}", held.len());
    for (round, command) in io::stdin().lines().enumerate() {
        let command = command?;
        match command.split(' ').collect::<Vec<_>>()[..] {
            ["say", seconds] => say(&mut held, &format!("round {round}\n"), self::number(seconds)?),
            ["say", seconds, word] => say(&mut held, &format!("{word} {round}\n"), self::number(seconds)?),
            ["close", server] => {
                for one in held.iter_mut().filter(|one| one.server == server) {
                    one.stream.shutdown(std::net::Shutdown::Both)?;
                    one.lost = Some("ended".into());
                }
                println!("done close");
            }
            _ => {
                for one in &held {
                    println!("{} {} {}", one.port, one.server, one.lost.as_deref().unwrap_or("alive"));
                }
                println!("done list");
            }
        }
    }
    Ok(())
}

fn say(held: &mut [Held], said: &str, seconds: u64) {
    let before = held.iter().filter(|one| one.lost.is_none()).count();
    for one in held.iter_mut().filter(|one| one.lost.is_none()) {
        one.heard.clear();
        if let Err(error) = one.stream.write_all(said.as_bytes()) {
            one.lost = Some(reason(&error));
        }
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        let missing = held.iter_mut().map(|one| one.is_settled(said.as_bytes())).filter(|settled| !settled).count();
        if missing == 0 || Instant::now() > end {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    for one in held.iter_mut().filter(|one| one.lost.is_none() && !one.heard.ends_with(said.as_bytes())) {
        one.lost = Some("silent".into());
    }
    let mut reasons = BTreeMap::<&str, usize>::new();
    for lost in held.iter().filter_map(|one| one.lost.as_deref()) {
        *reasons.entry(lost).or_default() += 1;
    }
    let alive = held.iter().filter(|one| one.lost.is_none()).count();
    println!("done said {before} back {alive} lost {} of {} (all so far: {reasons:?})", before - alive, held.len());
}

fn fresh(address: SocketAddr, per_second: u64) -> io::Result<()> {
    let (good, bad, slowest) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let ended = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = io::stdin().read_line(&mut String::new());
            ended.store(1, Ordering::Relaxed);
        });
        while ended.load(Ordering::Relaxed) == 0 {
            thread::Builder::new().stack_size(64 << 10).spawn_scoped(scope, || {
                let since = Instant::now();
                match Held::open(address) {
                    Ok(_) => good.fetch_add(1, Ordering::Relaxed),
                    Err(_) => bad.fetch_add(1, Ordering::Relaxed),
                };
                let took = since.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
                slowest.fetch_max(took, Ordering::Relaxed);
            })?;
            thread::sleep(Duration::from_micros(1_000_000 / per_second));
        }
        io::Result::Ok(())
    })?;
    let (good, bad, slowest) = (good.into_inner(), bad.into_inner(), slowest.into_inner());
    println!("{} new connections, {bad} failed, the slowest took {slowest} ms", good + bad);
    Ok(())
}
