//! Tests of file steps, on stores of their own.

mod again;
mod archives;
mod cases;
mod escapes;
mod keys;
mod special;
mod support;
mod trees;
mod wide;
