//! Who we are, and whom PostgreSQL runs as when we are root.

use std::fs;
use std::os::unix::fs::MetadataExt;

/// An unprivileged user and its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Returns whether this process runs as root.
pub(crate) fn is_root() -> bool {
    effective() == Some(0)
}

/// The effective user id, without a system call that would need `unsafe`: a new file belongs to it.
fn effective() -> Option<u32> {
    if let Ok(meta) = fs::metadata("/proc/self") {
        return Some(meta.uid());
    }
    tempfile::tempfile().and_then(|file| file.metadata()).map(|meta| meta.uid()).ok()
}

/// The user that PostgreSQL servers run as: `nobody` when we are root, `None` (ourselves) otherwise.
pub(crate) fn unprivileged() -> Option<User> {
    is_root().then(|| nobody(&fs::read_to_string("/etc/passwd").unwrap_or_default()))
}

fn nobody(passwd: &str) -> User {
    let found = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, uid, gid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        (name == "nobody").then(|| Some(User { uid: uid.parse().ok()?, gid: gid.parse().ok()? })).flatten()
    });
    // The number that Linux itself uses for the overflow user.
    found.unwrap_or(User { uid: 65534, gid: 65534 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_read_from_the_list_of_users() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:x:99:98:nobody:/:/bin/false\n";
        assert_eq!(nobody(passwd), User { uid: 99, gid: 98 });
        assert_eq!(nobody(""), User { uid: 65534, gid: 65534 });
    }
}
