//! A name server that does what a test wants.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result, anyhow};

/// Where it usually is.
pub const ADDRESS: &str = "127.0.0.53";

/// Types of questions and records.
pub const IPV4: u16 = 1;
/// See [`IPV4`].
pub const NAME: u16 = 12;
/// See [`IPV4`].
pub const IPV6: u16 = 28;

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    /// The name, in small letters.
    pub name: String,
    /// The type.
    pub kind: u16,
    /// Whether it came over TCP.
    pub is_stream: bool,
    /// Its message.
    message: Vec<u8>,
}

/// What is answered to a question: any number of messages.
type Answers = dyn Fn(&Question) -> Vec<Vec<u8>> + Send + Sync;
/// Whether answers are held back, given all that was asked so far.
type Holds = dyn Fn(&[String], &Question) -> bool + Send;

/// A record: owner, type and data.
pub type Record = (Vec<u8>, u16, Vec<u8>);

#[derive(Default)]
struct Log {
    asked: Vec<String>,
    senders: Vec<(u16, u16)>,
}

/// A name server in this network namespace, until it is dropped.
pub struct Server {
    log: Arc<Mutex<Log>>,
    address: SocketAddr,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Answers at once.
    pub fn start(address: &str, answers: impl Fn(&Question) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Result<Self> {
        Self::start_with(address, Box::new(|_, _| false), false, answers)
    }

    /// Answers from another port.
    pub fn start_spoofed(
        address: &str,
        answers: impl Fn(&Question) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::start_with(address, Box::new(|_, _| false), true, answers)
    }

    /// Answers nothing before it has been asked so often.
    pub fn start_patient(
        address: &str,
        number: usize,
        answers: impl Fn(&Question) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::start_with(address, Box::new(move |asked, _| asked.len() < number), false, answers)
    }

    /// Answers for one name only once it has been asked for another.
    pub fn start_patient_for(
        address: &str,
        name: &'static str,
        other: &'static str,
        answers: impl Fn(&Question) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Result<Self> {
        let holds = move |asked: &[String], question: &Question| {
            question.name == name && !asked.iter().any(|asked| asked.starts_with(other))
        };
        Self::start_with(address, Box::new(holds), false, answers)
    }

    fn start_with(
        address: &str,
        holds: Box<Holds>,
        spoofed: bool,
        answers: impl Fn(&Question) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Result<Self> {
        let address: SocketAddr = format!("{address}:53").parse()?;
        let socket = UdpSocket::bind(address).with_context(|| address.to_string())?;
        let listener = TcpListener::bind(address).with_context(|| address.to_string())?;
        let other = UdpSocket::bind((address.ip(), 0))?;
        let log = Arc::new(Mutex::new(Log::default()));
        let answers: Arc<Answers> = Arc::new(answers);
        let (datagram_log, datagram_answers) = (log.clone(), answers.clone());
        let datagrams = thread::spawn(move || {
            let mut held: VecDeque<(Question, SocketAddr)> = VecDeque::new();
            let mut message = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut message) {
                // The end.
                let Some(question) = Question::of(&message[..length], false) else { return };
                note(&datagram_log, &question, from.port());
                held.push_back((question, from));
                let asked = asked(&datagram_log);
                held.retain(|(question, from)| {
                    if holds(&asked, question) {
                        return true;
                    }
                    for answer in datagram_answers(question) {
                        let sender = if spoofed { &other } else { &socket };
                        // Who asked may have gone.
                        let _ = sender.send_to(&answer, from);
                    }
                    false
                });
            }
        });
        let stream_log = log.clone();
        let streams = thread::spawn(move || {
            while let Ok((mut stream, from)) = listener.accept() {
                let mut length = [0; 2];
                if stream.read_exact(&mut length).is_err() {
                    return;
                }
                let mut message = vec![0; u16::from_be_bytes(length).into()];
                if stream.read_exact(&mut message).is_err() {
                    continue;
                }
                let Some(question) = Question::of(&message, true) else { return };
                note(&stream_log, &question, from.port());
                for answer in answers(&question) {
                    let framed = [&(answer.len() as u16).to_be_bytes()[..], &answer].concat();
                    // In two pieces: a reader must put them together.
                    let (one, other) = framed.split_at(framed.len() / 2);
                    let _ = stream.write_all(one).and_then(|()| stream.write_all(other));
                }
            }
        });
        Ok(Self { log, address, threads: vec![datagrams, streams] })
    }

    /// What it was asked: names and types.
    pub fn asked(&self) -> Vec<String> {
        asked(&self.log)
    }

    /// The id of each message, and the port that it came from.
    pub fn senders(&self) -> Vec<(u16, u16)> {
        self.log.lock().map(|log| log.senders.clone()).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let end = || -> Result<()> {
            UdpSocket::bind((self.address.ip(), 0))?.send_to(&[], self.address)?;
            std::net::TcpStream::connect(self.address)?;
            Ok(())
        };
        if end().is_ok() {
            for thread in self.threads.drain(..) {
                let _ = thread.join().map_err(|_| anyhow!("the name server panicked"));
            }
        }
    }
}

fn note(log: &Mutex<Log>, question: &Question, port: u16) {
    if let Ok(mut log) = log.lock() {
        log.asked.push(format!("{} {}", question.name, question.kind));
        log.senders.push((u16::from_be_bytes([question.message[0], question.message[1]]), port));
    }
}

fn asked(log: &Mutex<Log>) -> Vec<String> {
    log.lock().map(|log| log.asked.clone()).unwrap_or_default()
}

impl Question {
    fn of(message: &[u8], is_stream: bool) -> Option<Self> {
        let mut labels = Vec::new();
        let mut rest = message.get(12..)?;
        while let Some((&length, behind)) = rest.split_first().filter(|(length, _)| **length > 0) {
            let (label, behind) = behind.split_at_checked(length.into())?;
            labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
            rest = behind;
        }
        let kind = u16::from_be_bytes(*rest.get(1..)?.first_chunk()?);
        Some(Self { name: labels.join("."), kind, is_stream, message: message.to_vec() })
    }
}

/// A name as messages have it.
pub fn label_name(name: &str) -> Vec<u8> {
    let label = |label: &str| [&[label.len() as u8], label.as_bytes()].concat();
    let labels = name.split('.').filter(|part| !part.is_empty()).flat_map(label);
    labels.chain([0]).collect()
}

/// An answer with this status and these records.
pub fn answer(question: &Question, status: u8, records: &[Record]) -> Vec<u8> {
    let mut message = question.message.clone();
    (message[2], message[3]) = (0x81, 0x80 | status);
    message[6..8].copy_from_slice(&(records.len() as u16).to_be_bytes());
    for (owner, kind, data) in records {
        message.extend(owner);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1, 0, 0, 0, 60]);
        message.extend((data.len() as u16).to_be_bytes());
        message.extend(data);
    }
    message
}

/// An answer with these addresses, whose owner is the name asked for.
pub fn address_answer(question: &Question, addresses: &[[u8; 4]]) -> Vec<u8> {
    let same = vec![0xc0, 12];
    let records: Vec<Record> = addresses.iter().map(|address| (same.clone(), IPV4, address.to_vec())).collect();
    answer(question, 0, &records)
}
