//! Accounts of the sandbox: the access key says which one is meant, so that tests share emulators and not their contents.
//!
//! A key is 20 characters, like a real one: `AKCW`, the twelve digits of the account, `SBOX`. Any other key means the account
//! [`DEFAULT`]. The emulators map keys to accounts each in its own way (moto: keys that its IAM made, or the header
//! `x-moto-account-id`; fakecloud: keys that its IAM made), so the gateway reads the account with [`of`], sends moto the header,
//! and asks for a fakecloud of that account.

/// The account of keys that name none, and of both emulators by default.
pub const DEFAULT: &str = "123456789012";

/// The account that an access key means.
pub fn of(access_key: &str) -> &str {
    access_key
        .strip_prefix("AKCW")
        .and_then(|rest| rest.strip_suffix("SBOX"))
        .filter(|account| is_account(account))
        .unwrap_or(DEFAULT)
}

/// The access key and the secret key of an account. `None` if it is not a number of twelve digits.
pub fn credentials(account: &str) -> Option<(String, String)> {
    is_account(account).then(|| (format!("AKCW{account}SBOX"), "sandbox".to_owned()))
}

fn is_account(account: &str) -> bool {
    account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_account() {
        let (key, _) = credentials("000000000042").unwrap();
        assert_eq!(key.len(), 20);
        assert_eq!(of(&key), "000000000042");
        assert_eq!(of("AKIAIOSFODNN7EXAMPLE"), DEFAULT);
        assert_eq!(of("AKCW12345678901xSBOX"), DEFAULT);
        assert_eq!(credentials("42"), None);
    }
}
