//! Short names of fixed room, as the kernel holds them.

use std::fmt;

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

/// A network interface's name: `IP_VS_IFNAME_MAXLEN` is 16 with the final NUL.
pub type InterfaceName = Name<15>;

impl<const N: usize> Name<N> {
    /// The empty name.
    pub const EMPTY: Self = Self { bytes: [0; N], length: 0 };

    /// The name of these bytes, or `None` if they are more than `N`.
    #[must_use]
    pub fn new(text: &[u8]) -> Option<Self> {
        (text.len() <= N).then(|| Self::cut(text))
    }

    /// The name of the first `N` of these bytes.
    #[must_use]
    pub fn cut(text: &[u8]) -> Self {
        let length = text.len().min(N);
        let mut bytes = [0; N];
        bytes[..length].copy_from_slice(&text[..length]);
        // A name is at most 255 bytes by the types above.
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
