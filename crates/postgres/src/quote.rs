//! Names and texts in statements that take no parameters.

/// A name.
pub(crate) fn name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text, whatever `standard_conforming_strings` says.
pub(crate) fn text(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_leaves_its_quotes() {
        assert_eq!(super::name(r#"a"; DROP ROLE b; --"#), r#""a""; DROP ROLE b; --""#);
        assert_eq!(super::text(r"\'; DROP ROLE b; --"), r"E'\\\'; DROP ROLE b; --'");
    }
}
