//! Questions to name servers and their answers: many at a time, each on a socket of its own, all within one limit.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket};

use super::config::Resolver;
use super::message::{Answer, Failure, Question, Reply};

/// Questions at the same time. Each takes a file descriptor.
const AT_ONCE: usize = 100;
/// The longest message.
const MESSAGE: usize = u16::MAX as usize;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// No server answered in time.
    Silence,
    /// A server answered that it cannot.
    Failure(Failure),
    /// No server can be reached.
    Unreachable,
}

/// Something that takes one or more questions, one after the other.
pub(super) trait Inquiry {
    /// The question to ask now; `None` if there is none left.
    fn question(&self) -> Option<Question>;
    /// What came of it.
    fn answered(&mut self, answer: Result<Answer, NoAnswer>);
}

/// The name servers, and the time that they have.
pub(super) struct Exchange<'r> {
    resolver: &'r Resolver,
    end: Instant,
    /// How long a server is waited for before the next one is asked.
    wait: Duration,
    /// The server that is asked first: the one that answered last.
    first: usize,
    /// Numbers that no other program can foresee.
    random: RandomState,
    asked: u64,
}

/// A question that waits for its answer.
struct Flight {
    inquiry: usize,
    question: Question,
    id: u16,
    /// What became of it at each server.
    servers: Vec<Asked>,
    /// The server that is asked now.
    server: usize,
    /// How many times a server has been asked, this time included.
    tries: u32,
    failure: Option<NoAnswer>,
    /// When the next server is asked.
    due: Instant,
}

/// A server and a question.
enum Asked {
    NotYet,
    /// It may still answer, also while another one is asked.
    Waiting(Transport),
    /// It has no answer.
    Failed,
}

enum Transport {
    Datagram(UdpSocket),
    Stream { stream: TcpStream, unsent: Vec<u8>, received: Vec<u8> },
}

/// What a socket has.
enum Event {
    Nothing,
    Message(Vec<u8>),
    Broken,
}

impl<'r> Exchange<'r> {
    /// Until `end`.
    pub(super) fn new(resolver: &'r Resolver, end: Instant) -> Self {
        let tries = resolver.attempts * resolver.servers.len() as u32;
        let wait = resolver.timeout.min(end.saturating_duration_since(Instant::now()) / tries.max(1));
        Self { resolver, end, wait, first: 0, random: RandomState::new(), asked: 0 }
    }

    /// Ask all these, as many at a time as is sensible. What has no answer in the end gets none.
    pub(super) fn run<I: Inquiry>(&mut self, inquiries: &mut [I]) {
        let mut waiting: VecDeque<usize> = (0..inquiries.len()).collect();
        let mut flights: Vec<Flight> = Vec::new();
        loop {
            while flights.len() < AT_ONCE
                && let Some(index) = waiting.pop_front()
            {
                let Some(question) = inquiries[index].question() else { continue };
                match self.start(index, question) {
                    Ok(flight) => flights.push(flight),
                    // There are no more file descriptors. When a question is answered there are.
                    Err(Errno::EMFILE | Errno::ENFILE) if !flights.is_empty() => {
                        waiting.push_front(index);
                        break;
                    }
                    Err(_) => {
                        inquiries[index].answered(Err(NoAnswer::Unreachable));
                        waiting.push_front(index);
                    }
                }
            }
            let now = Instant::now();
            let Some(due) = flights.iter().map(|flight| flight.due).min() else { return };
            if now >= self.end {
                break;
            }
            let ready = wait_for(&flights, due.min(self.end).saturating_duration_since(now));
            let now = Instant::now();
            for (place, servers) in ready.into_iter().enumerate().rev() {
                let flight = &mut flights[place];
                let mut outcome = servers.into_iter().find_map(|server| self.advance(flight, server));
                if outcome.is_none() && now >= flight.due {
                    self.pass_over(flight.server);
                    outcome = self.retry(flight);
                }
                if let Some(outcome) = outcome {
                    let inquiry = flights.swap_remove(place).inquiry;
                    inquiries[inquiry].answered(outcome);
                    waiting.push_front(inquiry);
                }
            }
        }
        // The rest had its time.
        for index in flights.into_iter().map(|flight| flight.inquiry).chain(waiting) {
            if inquiries[index].question().is_some() {
                inquiries[index].answered(Err(NoAnswer::Silence));
            }
        }
    }

    fn start(&mut self, inquiry: usize, question: Question) -> Result<Flight, Errno> {
        let count = self.resolver.servers.len();
        let servers = (0..count).map(|_| Asked::NotYet).collect();
        let (id, server, due) = (self.random_id(), self.first, Instant::now() + self.wait);
        let mut flight = Flight { inquiry, question, id, servers, server, tries: 1, failure: None, due };
        let mut outcome = self.send(&mut flight);
        // No route to the one does not mean no route to the other.
        while outcome.is_err() && (flight.tries as usize) < count {
            flight.tries += 1;
            flight.server = (flight.server + 1) % count;
            outcome = self.send(&mut flight);
        }
        outcome.map(|()| flight).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
    }

    /// Send the question to the server whose turn it is.
    fn send(&self, flight: &mut Flight) -> io::Result<()> {
        let sent = self.try_to_send(flight);
        if sent.is_err() {
            flight.servers[flight.server] = Asked::Failed;
        }
        sent
    }

    fn try_to_send(&self, flight: &mut Flight) -> io::Result<()> {
        let address = self.resolver.servers[flight.server];
        let message = flight.question.message(flight.id);
        let place = &mut flight.servers[flight.server];
        match place {
            // It may have been lost; the answer to the first one is as good.
            Asked::Waiting(Transport::Datagram(socket)) => socket.send(&message).map(drop),
            Asked::Waiting(Transport::Stream { .. }) => Ok(()),
            Asked::NotYet | Asked::Failed => {
                *place = Asked::Waiting(match self.resolver.stream {
                    true => Transport::stream(address, &message)?,
                    false => Transport::datagram(address, &message)?,
                });
                Ok(())
            }
        }
    }

    /// Look at what a server has sent. The answer, if that is one.
    fn advance(&mut self, flight: &mut Flight, server: usize) -> Option<Result<Answer, NoAnswer>> {
        loop {
            let Asked::Waiting(transport) = &mut flight.servers[server] else { return None };
            let message = match transport.receive() {
                Event::Nothing => return None,
                Event::Broken => return self.failed(flight, server, NoAnswer::Unreachable),
                Event::Message(message) => message,
            };
            match (flight.question.reply(flight.id, &message), transport) {
                // Anyone can send such a datagram; the answer may still come.
                (Reply::Unrelated, Transport::Datagram(_)) => {}
                (Reply::Truncated, Transport::Datagram(_)) => {
                    let message = flight.question.message(flight.id);
                    match Transport::stream(self.resolver.servers[server], &message) {
                        Ok(stream) => flight.servers[server] = Asked::Waiting(stream),
                        Err(_) => return self.failed(flight, server, NoAnswer::Unreachable),
                    }
                    return None;
                }
                (Reply::Unrelated | Reply::Truncated, Transport::Stream { .. }) => {
                    return self.failed(flight, server, NoAnswer::Failure(Failure::Malformed));
                }
                (Reply::Answer(Answer::Failure(failure)), _) => {
                    return self.failed(flight, server, NoAnswer::Failure(failure));
                }
                (Reply::Answer(answer), _) => {
                    self.first = server;
                    return Some(Ok(answer));
                }
            }
        }
    }

    /// A server has no answer. The end of the question, if no other is left to ask.
    fn failed(&mut self, flight: &mut Flight, server: usize, failure: NoAnswer) -> Option<Result<Answer, NoAnswer>> {
        flight.servers[server] = Asked::Failed;
        // What one server answers says more than that another cannot be reached.
        if !matches!(flight.failure, Some(NoAnswer::Failure(_))) {
            flight.failure = Some(failure);
        }
        if failure == NoAnswer::Unreachable {
            self.pass_over(server);
        }
        if server == flight.server { self.retry(flight) } else { None }
    }

    /// Ask the next server, unless all were asked often enough.
    fn retry(&mut self, flight: &mut Flight) -> Option<Result<Answer, NoAnswer>> {
        let count = self.resolver.servers.len();
        while flight.tries < self.resolver.attempts * count as u32 {
            flight.tries += 1;
            flight.server = (flight.server + 1) % count;
            if !matches!(flight.servers[flight.server], Asked::Failed) && self.send(flight).is_ok() {
                flight.due = Instant::now() + self.wait;
                return None;
            }
        }
        let all_failed = flight.servers.iter().all(|server| matches!(server, Asked::Failed));
        Some(Err(match flight.failure {
            Some(NoAnswer::Unreachable) if !all_failed => NoAnswer::Silence,
            failure => failure.unwrap_or(NoAnswer::Silence),
        }))
    }

    /// What is asked from now on does not begin with this server.
    fn pass_over(&mut self, server: usize) {
        if self.first == server {
            self.first = (server + 1) % self.resolver.servers.len();
        }
    }

    /// The standard library's keyed hash, whose key is random, of a number that does not come twice.
    fn random_id(&mut self) -> u16 {
        self.asked += 1;
        self.random.hash_one(self.asked) as u16
    }
}

impl Transport {
    /// Send a message in a datagram.
    fn datagram(address: SocketAddr, message: &[u8]) -> io::Result<Self> {
        let from: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        // The kernel takes a port at random. A connected socket takes nothing from any other sender.
        let socket = UdpSocket::bind((from, 0))?;
        socket.set_nonblocking(true)?;
        socket.connect(address)?;
        socket.send(message)?;
        Ok(Self::Datagram(socket))
    }

    /// Send a message over a connection that is being opened.
    fn stream(address: SocketAddr, message: &[u8]) -> io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let stream = socket(family, SockType::Stream, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)?;
        match connect(stream.as_raw_fd(), &SockaddrStorage::from(address)) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let unsent = [&(message.len() as u16).to_be_bytes(), message].concat();
        Ok(Self::Stream { stream: stream.into(), unsent, received: Vec::new() })
    }

    fn waits_for(&self) -> PollFlags {
        match self {
            Self::Stream { unsent, .. } if !unsent.is_empty() => PollFlags::POLLOUT,
            _ => PollFlags::POLLIN,
        }
    }

    fn receive(&mut self) -> Event {
        match self {
            Self::Datagram(socket) => {
                let mut message = vec![0; MESSAGE];
                match socket.recv(&mut message) {
                    Ok(length) => {
                        message.truncate(length);
                        Event::Message(message)
                    }
                    Err(error) => Event::of(&error),
                }
            }
            Self::Stream { stream, unsent, received } => {
                if !unsent.is_empty() {
                    match stream.write(unsent) {
                        Ok(length) => {
                            unsent.drain(..length);
                        }
                        Err(error) => return Event::of(&error),
                    }
                    return Event::Nothing;
                }
                let mut bytes = [0; 4096];
                match stream.read(&mut bytes) {
                    Ok(0) => return Event::Broken,
                    Ok(length) => received.extend_from_slice(&bytes[..length]),
                    Err(error) => return Event::of(&error),
                }
                let Some((length, message)) = received.split_first_chunk() else { return Event::Nothing };
                match message.get(..u16::from_be_bytes(*length).into()) {
                    Some(message) => Event::Message(message.to_vec()),
                    None => Event::Nothing,
                }
            }
        }
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Datagram(socket) => socket.as_fd(),
            Self::Stream { stream, .. } => stream.as_fd(),
        }
    }
}

impl Event {
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::Interrupted => Self::Nothing,
            _ => Self::Broken,
        }
    }
}

/// Wait until a socket has something, this long at most. Which servers have, for each question.
fn wait_for(flights: &[Flight], time: Duration) -> Vec<Vec<usize>> {
    let mut places = Vec::new();
    let mut waiting = Vec::new();
    for (place, flight) in flights.iter().enumerate() {
        for (server, asked) in flight.servers.iter().enumerate() {
            if let Asked::Waiting(transport) = asked {
                places.push((place, server));
                waiting.push(PollFd::new(transport.as_fd(), transport.waits_for()));
            }
        }
    }
    // A millisecond that has begun counts, or the last one would be spent in circles.
    let timeout = PollTimeout::try_from(time + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
    let mut ready = vec![Vec::new(); flights.len()];
    if poll(&mut waiting, timeout).is_ok() {
        for ((place, server), fd) in places.into_iter().zip(&waiting) {
            if fd.any() == Some(true) {
                ready[place].push(server);
            }
        }
    }
    ready
}
