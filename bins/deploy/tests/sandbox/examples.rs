//! The AWS side of the examples. What is inside the clusters takes a control plane for each, and has tests of its own.
#![allow(dead_code, reason = "every test binary uses another part of it")]

pub(crate) const AI_CODER: &str = aws_side(include_str!("../../../../examples/ai-coder.toml"));
pub(crate) const SINGLE_REGION: &str = aws_side(include_str!("../../../../examples/single-region.toml"));

/// What stands before `[eks.coder]`.
const fn aws_side(example: &'static str) -> &'static str {
    let (text, table) = (example.as_bytes(), b"\n[eks.coder]\n");
    let mut start = 0;
    loop {
        let mut same = 0;
        while same < table.len() && text[start + same] == table[same] {
            same += 1;
        }
        if same == table.len() {
            return example.split_at(start).0;
        }
        start += 1;
    }
}
