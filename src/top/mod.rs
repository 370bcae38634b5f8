//! The state of the live view `top`, and what changes it: what was read ([`App::read`]) and what was typed ([`App::key`]). It asks
//! for [`Action`]s. `view::top` draws it; the terminal, signals and the kernel are in `commands/top`.

mod app;
mod connections;
mod keys;
mod meter;
mod rows;

pub(crate) use app::{Action, App, Message, Mode, Question, Rates};
pub(crate) use connections::{Connections, Tally};
pub(crate) use keys::{Key, Keys};
pub(crate) use meter::PerSecond;
pub(crate) use rows::{Column, Row};
