//! What the live view looks like: a pure function draws its state ([`crate::top::App`]), another prints it as lines.

mod lines;
mod number;
mod render;
mod words;

pub(crate) use lines::{header, lines};
pub(crate) use render::render;
