//! The language of rules files: lines of commands, read whole and understood before anything is done.
//!
//! ```
//! use ipvsadm_rs::host::SystemNames;
//! use ipvsadm_rs::rules::{ReadError, read};
//!
//! let text = b"-A -t 20.20.20.20:80 -s rr\n-a -t 20.20.20.20:80 -r 30.30.30.30 -w heavy # oops\n";
//! let Err(ReadError::Bad(lines)) = read(&text[..], &SystemNames::default(), |_| {}) else { panic!("it is wrong") };
//! assert_eq!(lines[0].to_string(), "2: illegal weight specified: `heavy'");
//! ```

mod read;

pub use read::{BadLine, Line, ReadError, read};
