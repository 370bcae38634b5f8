//! Short names of fixed room, as the kernel holds them.

use std::fmt;
use std::str::FromStr;

/// A name of at most `N` bytes kept in place, so that a service is one flat value and reading a rule allocates nothing.
///
/// The bytes are what the user typed or the kernel sent; they need not be UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name<const N: usize> {
    bytes: [u8; N],
    length: u8,
}

/// A scheduler's or persistence engine's name: `IP_VS_SCHEDNAME_MAXLEN` and `IP_VS_PENAME_MAXLEN` are 16 with the final
/// NUL.
pub type SchedulerName = Name<15>;

/// The schedulers of Linux. A scheduler in a module of its own has a name by [`SchedulerName::new`](Name::new).
pub mod scheduler {
    use super::SchedulerName;

    macro_rules! schedulers {
        ($($name:ident $text:literal $what:literal,)*) => {
            $(#[doc = concat!("`", $text, "`: ", $what, ".")]
            pub const $name: SchedulerName = SchedulerName::cut($text.as_bytes());)*
        };
    }

    schedulers! {
        RR "rr" "round robin",
        WRR "wrr" "weighted round robin",
        LC "lc" "least connections",
        WLC "wlc" "weighted least connections, the default of ipvsadm",
        LBLC "lblc" "locality-based least connections",
        LBLCR "lblcr" "locality-based least connections with replication",
        DH "dh" "destination hashing",
        SH "sh" "source hashing",
        SED "sed" "shortest expected delay",
        NQ "nq" "never queue",
        FO "fo" "weighted failover",
        OVF "ovf" "weighted overflow",
        MH "mh" "Maglev hashing",
        TWOS "twos" "the better of two random servers",
    }
}

/// A network interface's name: `IP_VS_IFNAME_MAXLEN` is 16 with the final NUL.
pub type InterfaceName = Name<15>;

impl<const N: usize> Name<N> {
    /// The empty name.
    pub const EMPTY: Self = Self { bytes: [0; N], length: 0 };

    /// The name of these bytes; nothing if they are more than `N`, or have a NUL, at which the kernel would end the name.
    #[must_use]
    pub const fn new(text: &[u8]) -> Option<Self> {
        let mut at = 0;
        while at < text.len() {
            if text[at] == 0 {
                return None;
            }
            at += 1;
        }
        if text.len() <= N { Some(Self::cut(text)) } else { None }
    }

    /// The name of the first `N` of these bytes, as ipvsadm cuts names that are too long.
    #[must_use]
    pub const fn cut(text: &[u8]) -> Self {
        const { assert!(N <= u8::MAX as usize) };
        let length = if text.len() < N { text.len() } else { N };
        let mut bytes = [0; N];
        bytes.split_at_mut(length).0.copy_from_slice(text.split_at(length).0);
        Self { bytes, length: length as u8 }
    }

    /// The bytes of the name.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// The name as text; what is not UTF-8 in it is replaced.
    #[must_use]
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.as_bytes())
    }

    /// Whether there is no name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

/// A text that no name of this kind can be: it is too long, or has a NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadName {
    room: usize,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a name has at most {} bytes, none of them NUL", self.room)
    }
}

impl std::error::Error for BadName {}

impl<const N: usize> FromStr for Name<N> {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        Self::new(text.as_bytes()).ok_or(BadName { room: N })
    }
}

impl<const N: usize> TryFrom<&str> for Name<N> {
    type Error = BadName;

    fn try_from(text: &str) -> Result<Self, BadName> {
        text.parse()
    }
}

impl<const N: usize> Default for Name<N> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<const N: usize> fmt::Display for Name<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text())
    }
}

impl<const N: usize> fmt::Debug for Name<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text())
    }
}
