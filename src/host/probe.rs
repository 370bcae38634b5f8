//! Asking on the wire who has an address, and listening for sync daemons, with a packet socket (packet(7)). Needs
//! `CAP_NET_RAW`.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, socket};

use super::route::HardwareAddress;

/// How often is asked, in that time.
const QUESTIONS: u32 = 3;
/// Bytes of an Ethernet frame with ARP, without padding.
const ARP_FRAME: usize = 42;
/// Bytes of an Ethernet frame with a neighbour solicitation and its one option.
const SOLICITATION_FRAME: usize = 14 + 40 + 32;
/// The group and the port that sync daemons use by default.
const SYNC_GROUP: [u8; 4] = [224, 0, 0, 81];
const SYNC_PORT: u16 = 8848;

/// A packet socket on one Ethernet interface.
pub struct Wire {
    socket: OwnedFd,
    /// The interface's own address.
    own: [u8; 6],
}

/// What came by on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// An ARP reply: this IPv4 address is at that MAC address.
    Arp(Ipv4Addr, HardwareAddress),
    /// A neighbour advertisement: this IPv6 address is at that MAC address.
    Advertisement(Ipv6Addr, HardwareAddress),
    /// A message of a sync daemon with this id.
    Sync(u8),
}

impl Wire {
    /// Listen on an interface.
    ///
    /// # Errors
    /// It is not there or no Ethernet, or we may not.
    pub fn open(interface: &str) -> io::Result<Self> {
        let link = getifaddrs()?
            .filter(|entry| entry.interface_name == interface)
            .find_map(|entry| entry.address.as_ref()?.as_link_addr().copied())
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let own = link.addr().filter(|_| link.halen() == 6).ok_or_else(|| io::Error::other("no Ethernet"))?;
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)?;
        // Without a protocol of its own the address leaves the socket's.
        bind(socket.as_raw_fd(), &link)?;
        Ok(Self { socket, own })
    }

    /// Ask who has these addresses, as `sender`, and return what came by while waiting so long, everything once.
    ///
    /// # Errors
    /// Sending or receiving fails.
    pub fn ask(
        &self,
        sender: Option<Ipv4Addr>,
        link_local: Option<Ipv6Addr>,
        ipv4: &[Ipv4Addr],
        ipv6: &[Ipv6Addr],
        patience: Duration,
    ) -> io::Result<Vec<Heard>> {
        let mut all = Vec::new();
        let begin = Instant::now();
        for question in 1..=QUESTIONS {
            for target in ipv4 {
                self.send(&arp_request(self.own, sender.unwrap_or(Ipv4Addr::UNSPECIFIED), *target))?;
            }
            if let Some(source) = link_local {
                for target in ipv6 {
                    self.send(&solicitation(self.own, source, *target))?;
                }
            }
            self.listen(begin + patience * question / QUESTIONS, &mut all)?;
        }
        Ok(all)
    }

    fn send(&self, frame: &[u8]) -> io::Result<()> {
        match send(self.socket.as_raw_fd(), frame, MsgFlags::empty()) {
            // The queue of the card is full: the next question will do.
            Ok(_) | Err(Errno::ENOBUFS | Errno::EAGAIN) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn listen(&self, until: Instant, all: &mut Vec<Heard>) -> io::Result<()> {
        let mut frame = [0; 2048];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            // Rounded up: a wait of 0 would only turn in circles.
            let left = u16::try_from(left.as_millis() + 1).unwrap_or(u16::MAX);
            match poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], PollTimeout::from(left)) {
                Ok(0) => return Ok(()),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            // Not more than what is there, so that a busy wire does not hold us.
            match recv(self.socket.as_raw_fd(), &mut frame, MsgFlags::empty()) {
                Ok(length) => {
                    let heard = frame.get(..length).and_then(|frame| understand(frame, self.own));
                    if let Some(heard) = heard.filter(|heard| !all.contains(heard)) {
                        all.push(heard);
                    }
                }
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// A question for an IPv4 address (RFC 826), to all.
fn arp_request(own: [u8; 6], sender: Ipv4Addr, target: Ipv4Addr) -> [u8; ARP_FRAME] {
    let mut frame = [0; ARP_FRAME];
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&own);
    // ARP; for Ethernet and IPv4, addresses of 6 and 4 bytes; a request.
    frame[12..22].copy_from_slice(&[0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]);
    frame[22..28].copy_from_slice(&own);
    frame[28..32].copy_from_slice(&sender.octets());
    frame[38..42].copy_from_slice(&target.octets());
    frame
}

/// A question for an IPv6 address (RFC 4861), to the group that its holder listens to.
fn solicitation(own: [u8; 6], source: Ipv6Addr, target: Ipv6Addr) -> [u8; SOLICITATION_FRAME] {
    let target = target.octets();
    let mut group = [0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0];
    group[13..].copy_from_slice(&target[13..]);
    let mut frame = [0; SOLICITATION_FRAME];
    frame[..2].fill(0x33);
    frame[2..6].copy_from_slice(&group[12..]);
    frame[6..12].copy_from_slice(&own);
    frame[12..14].copy_from_slice(&[0x86, 0xdd]);
    // IPv6: version 6, 32 bytes of ICMPv6, hop limit 255.
    frame[14..22].copy_from_slice(&[0x60, 0, 0, 0, 0, 32, 58, 255]);
    frame[22..38].copy_from_slice(&source.octets());
    frame[38..54].copy_from_slice(&group);
    // Neighbour solicitation; the option says our own address on the link.
    frame[54] = 135;
    frame[62..78].copy_from_slice(&target);
    frame[78..80].copy_from_slice(&[1, 1]);
    frame[80..].copy_from_slice(&own);
    let sum = checksum(&frame[22..54], &frame[54..]);
    frame[56..58].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// The checksum of an ICMPv6 message between these addresses (RFC 8200, section 8.1).
fn checksum(addresses: &[u8], message: &[u8]) -> u16 {
    let words = addresses.chunks(2).chain(message.chunks(2));
    let sum: u32 = words.map(|word| u32::from(u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or(0)]))).sum();
    let mut sum = sum + message.len() as u32 + 58;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// What a frame says, if it is one that we wait for and not our own.
fn understand(frame: &[u8], own: [u8; 6]) -> Option<Heard> {
    let (header, payload) = frame.split_first_chunk::<14>()?;
    if header[6..12] == own {
        return None;
    }
    match header[12..14] {
        // A reply in ARP.
        [0x08, 0x06] => {
            let arp = payload.first_chunk::<28>()?;
            let is_reply = arp[..8] == [0, 1, 0x08, 0, 6, 4, 0, 2];
            let address = Ipv4Addr::new(arp[14], arp[15], arp[16], arp[17]);
            is_reply.then(|| Heard::Arp(address, HardwareAddress(arp[8..14].to_vec())))
        }
        // UDP to the sync daemons.
        [0x08, 0x00] => {
            let length = usize::from(payload.first()? & 0x0f) * 4;
            let (ip, udp) = payload.split_at_checked(length)?;
            let is_sync =
                *ip.get(9)? == 17 && *ip.get(16..20)? == SYNC_GROUP && *udp.get(2..4)? == SYNC_PORT.to_be_bytes();
            // struct ip_vs_sync_mesg: after a byte that is 0, or the number of connections in version 0, comes the id.
            is_sync.then(|| udp.get(9).copied().map(Heard::Sync))?
        }
        // A neighbour advertisement in ICMPv6.
        [0x86, 0xdd] => {
            let (ip, icmp) = payload.split_first_chunk::<40>()?;
            if ip[6] != 58 || *icmp.first()? != 136 {
                return None;
            }
            let target: [u8; 16] = icmp.get(8..24)?.try_into().ok()?;
            // The option with the answerer's address; without it, it is the sender of the frame.
            let hardware = match icmp.get(24..32) {
                Some([2, 1, address @ ..]) => address.to_vec(),
                _ => header[6..12].to_vec(),
            };
            Some(Heard::Advertisement(target.into(), HardwareAddress(hardware)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [u8; 6] = [2, 0, 0, 0, 0, 0x20];
    const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 0x30];
    const VIP: Ipv4Addr = Ipv4Addr::new(20, 20, 20, 20);

    /// The reply to a request, as its target would send it.
    fn reply() -> Vec<u8> {
        let mut frame = arp_request(OTHER, VIP, Ipv4Addr::new(30, 30, 30, 20)).to_vec();
        frame[21] = 2;
        frame
    }

    #[test]
    fn a_reply_is_understood_and_a_request_or_our_own_is_not() {
        let heard = Heard::Arp(VIP, HardwareAddress(OTHER.to_vec()));
        assert_eq!(understand(&reply(), OWN), Some(heard));
        assert_eq!(understand(&reply(), OTHER), None);
        assert_eq!(understand(&arp_request(OTHER, VIP, VIP), OWN), None);
    }

    #[test]
    fn a_frame_cut_anywhere_is_not_understood() {
        let whole = reply();
        for length in 0..whole.len() {
            assert_eq!(understand(&whole[..length], OWN), None);
        }
    }

    #[test]
    fn a_sync_message_has_its_id() {
        let mut frame = [0; 14 + 20 + 8 + 8];
        frame[6..12].copy_from_slice(&OTHER);
        frame[12..14].copy_from_slice(&[0x08, 0x00]);
        (frame[14], frame[23]) = (0x45, 17);
        frame[30..34].copy_from_slice(&SYNC_GROUP);
        frame[36..38].copy_from_slice(&SYNC_PORT.to_be_bytes());
        frame[43] = 7;
        assert_eq!(understand(&frame, OWN), Some(Heard::Sync(7)));
        frame[33] = 82;
        assert_eq!(understand(&frame, OWN), None);
    }

    #[test]
    fn a_solicitation_has_the_right_checksum_and_its_answer_is_understood() {
        let (source, target) = ("fe80::1".parse().unwrap(), "2001:db8:20::20".parse().unwrap());
        let mut frame = solicitation(OWN, source, target);
        // Over a right message, checksum included, the sum is 0.
        assert_eq!(checksum(&frame[22..54], &frame[54..]), 0);
        assert_eq!(frame[..6], [0x33, 0x33, 0xff, 0, 0, 0x20]);
        frame[54] = 136;
        frame[78] = 2;
        frame[6..12].copy_from_slice(&OTHER);
        let heard = Heard::Advertisement(target, HardwareAddress(OWN.to_vec()));
        assert_eq!(understand(&frame, [9; 6]), Some(heard));
    }
}
