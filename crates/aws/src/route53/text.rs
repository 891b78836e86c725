//! Names and values as Route 53 writes them, and as people do.
//! <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DomainNameFormat.html>

/// A domain name in lower case, without the dot at the end, its escapes undone: `\052.Example.com.` is
/// `*.example.com`.
pub(crate) fn name(name: &str) -> String {
    let name = unescaped(name).to_lowercase();
    name.strip_suffix('.').unwrap_or(&name).to_owned()
}

/// `value` as it is sent: TXT values in quotes, at most 255 bytes in each; others as they are.
pub(crate) fn sent(record_type: &str, value: &str) -> String {
    if !is_text(record_type) {
        return value.to_owned();
    }
    let chunks: Vec<String> = match value.as_bytes() {
        [] => vec![quoted(&[])],
        bytes => bytes.chunks(255).map(quoted).collect(),
    };
    chunks.join(" ")
}

/// `value` as people write it: TXT values without quotes and in one piece; names without the dot at the end.
pub(crate) fn shown(record_type: &str, value: &str) -> String {
    match record_type {
        t if is_text(t) => unquoted(value),
        "CNAME" | "NS" | "PTR" | "MX" | "SRV" => value.strip_suffix('.').unwrap_or(value).to_owned(),
        _ => value.to_owned(),
    }
}

/// Whether two values mean the same, for a record of this type.
pub(crate) fn same(record_type: &str, one: &str, other: &str) -> bool {
    match record_type {
        // Text is read by people and programs that mind the case.
        t if is_text(t) => one == other,
        _ => {
            let plain = |value: &str| value.strip_suffix('.').unwrap_or(value).to_lowercase();
            plain(one) == plain(other)
        }
    }
}

fn is_text(record_type: &str) -> bool {
    matches!(record_type, "TXT" | "SPF")
}

fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => out.push(char::from(*byte)),
            other => out.push_str(&format!("\\{other:03o}")),
        }
    }
    out.push('"');
    out
}

fn unquoted(value: &str) -> String {
    let mut inside = false;
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match byte {
            b'"' => inside = !inside,
            b'\\' if inside => {
                let (byte, tail) = escape(rest);
                bytes.extend(byte);
                rest = tail;
            }
            other if inside => bytes.push(*other),
            // Between two pieces.
            _ => {}
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn unescaped(name: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte == b'\\' {
            let (byte, tail) = escape(rest);
            bytes.extend(byte);
            rest = tail;
        } else {
            bytes.push(*byte);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a backslash stands for with what follows it: three octal digits, or the next byte itself.
fn escape(rest: &[u8]) -> (Option<u8>, &[u8]) {
    if let [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] = rest {
        return (Some((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0')), tail);
    }
    match rest {
        [byte, tail @ ..] => (Some(*byte), tail),
        [] => (None, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_only_route_53_writes() {
        assert_eq!(name("\\052.Coder.Example.com."), "*.coder.example.com");
        assert_eq!(name("_x.example.com"), "_x.example.com");
        assert_eq!(name("."), "");
    }

    #[test]
    fn text_survives_quotes_length_and_any_character() {
        let long = "x".repeat(600);
        for value in ["v=spf1 -all", "", "say \"hi\" \\ bye", "grüße\n", long.as_str(), " spaces  in  it "]
        {
            assert_eq!(shown("TXT", &sent("TXT", value)), value);
        }
        assert_eq!(sent("TXT", "a \"b\""), "\"a \\\"b\\\"\"");
        assert_eq!(sent("TXT", "ü"), "\"\\303\\274\"");
        assert_eq!(sent("TXT", &long).matches("\" \"").count(), 2);
        assert_eq!(shown("TXT", "\"one\" \"two\""), "onetwo");
    }

    #[test]
    fn only_text_minds_the_case_and_names_lose_their_dot() {
        assert!(same("CNAME", "Web.Example.com.", "web.example.com"));
        assert!(!same("TXT", "Token", "token"));
        assert_eq!(shown("MX", "10 mail.example.com."), "10 mail.example.com");
        assert_eq!(sent("A", "10.0.0.1"), "10.0.0.1");
    }

    #[test]
    fn a_broken_escape_does_no_harm() {
        assert_eq!(name("a\\"), "a");
        assert_eq!(shown("TXT", "\"a\\"), "a");
    }
}
