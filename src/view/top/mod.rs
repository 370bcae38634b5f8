//! `top`: the live view. Its state ([`App`]) changes by what was read and what was typed and asks for [`Action`]s; a pure
//! function draws it ([`render`]). Terminals, signals and the kernel are elsewhere, in `commands/top`.

mod app;
mod lines;
mod meter;
mod number;
mod render;
mod rows;

pub use app::{Action, App, Clients, Connections, Key};
pub use lines::{header, lines};
pub use meter::{ESTIMATOR, Meter, PerSecond};
pub use render::{MINIMUM, render};
pub use rows::{Column, Row};
