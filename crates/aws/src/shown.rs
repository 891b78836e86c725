//! What a live spec shows of a field that a service leaves out, or that it always has.

/// `live` as a spec shows it. A field that we want and the service leaves out is at its default, and must not look as
/// if the service hid it; one that we do not want and that is at its default must not look as if it still had to be
/// taken away.
#[allow(dead_code, reason = "not every service has such fields")]
pub(crate) fn shown<T: PartialEq>(wanted: Option<&T>, live: Option<T>, default: T) -> Option<T> {
    match wanted {
        Some(_) => Some(live.unwrap_or(default)),
        None => live.filter(|live| *live != default),
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_default_is_shown_to_whoever_wants_something() {
        assert_eq!(shown(Some(&30), None, 0), Some(0));
        assert_eq!(shown(Some(&0), Some(0), 0), Some(0));
        assert_eq!(shown(None, Some(0), 0), None);
        assert_eq!(shown(None, Some(30), 0), Some(30));
        assert_eq!(shown(None, None, 0), None);
    }
}
