//! What the operating system of a guest says in its own structures.

pub mod linux;
pub mod other;
