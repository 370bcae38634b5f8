//! What is so after the next boot.

/// A line of sysctl.d that gives a setting a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingLine {
    /// The setting, by its path below `/proc/sys`.
    pub key: String,
    /// The value.
    pub value: String,
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub number: usize,
}
