//! Tags as a comment: a JSON object of texts.

use causeway_core::Tags;

/// The comment that holds `tags`.
pub(crate) fn comment(tags: &Tags) -> String {
    serde_json::to_string(tags).unwrap_or_default()
}

/// The tags in a comment; none in one that people wrote.
pub(crate) fn tags(comment: Option<&str>) -> Tags {
    comment.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_holds_tags_and_a_persons_words_are_none() {
        let ours = Tags::from([(Tags::STACK, "coder"), ("team", "o'hara")]);
        assert_eq!(tags(Some(&comment(&ours))), ours);
        assert_eq!(tags(Some("do not touch")), Tags::default());
        assert_eq!(tags(Some(r#"["a"]"#)), Tags::default());
        assert_eq!(tags(None), Tags::default());
    }
}
