//! Sessions with a second factor: <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html>.
//!
//! A code is asked for once, and the session that it gave is kept in a file that only its user can read, until shortly
//! before it ends. Keys, codes and tokens are in no output.

use crate::{
    cli::Global,
    failure::{Code, Failure},
    screen::Screen,
    session::environment,
};
use aws_config::{Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_sts::error::ProvideErrorMetadata;
use causeway_aws::Call;
use causeway_core::error::chain;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// What AWS CLI users ask for too: a working day. AWS gives the root user an hour at most, whatever is asked.
const HOURS_12: i32 = 12 * 3600;

/// A session is not taken up again when it ends sooner than this.
const SPARE: Duration = Duration::from_secs(300);

/// A session, as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    ends: jiff::Timestamp,
}

/// `config` with a session that the device `serial` vouches for, and when that ends.
///
/// # Errors
/// There is no code, or AWS refuses it.
pub(crate) async fn session(
    config: &SdkConfig,
    own: &Credentials,
    serial: &str,
    region: &str,
    global: &Global,
    screen: &Screen,
) -> Result<(SdkConfig, SystemTime), Failure> {
    if own.session_token().is_some() {
        let why = "a session with a second factor is begun with the long-lived keys of a user, and these credentials are \
                   a session already";
        let hint = "set AWS_PROFILE to the user's own keys and unset AWS_SESSION_TOKEN, or leave --mfa-serial and \
                    AWS_MFA_SERIAL away";
        return Err(Failure::usage(why).hint(hint));
    }
    let file = cache().map(|folder| file(&folder, own.access_key_id(), serial));
    let found = file.as_deref().filter(|_| global.mfa_code.is_none()).and_then(read);
    let kept = match found.filter(|kept| kept.ends > jiff::Timestamp::now() + SPARE) {
        Some(kept) => kept,
        None => {
            let kept = begin(config, serial, &code(global, serial, screen)?, region).await?;
            if let Some(file) = &file
                && let Err(e) = write(file, &kept)
            {
                screen.note(&format!("the session is not kept: cannot write {}: {e}", file.display()));
            }
            kept
        }
    };
    let ends = SystemTime::from(kept.ends);
    // Without their end: nothing could renew them, and the SDK would ask in vain.
    let credentials =
        Credentials::new(kept.access_key_id, kept.secret_access_key, Some(kept.session_token), None, "mfa");
    let config =
        config.to_builder().credentials_provider(SharedCredentialsProvider::new(credentials)).build();
    Ok((config, ends))
}

fn code(global: &Global, serial: &str, screen: &Screen) -> Result<String, Failure> {
    let code = match &global.mfa_code {
        Some(code) => code.clone(),
        None => screen.ask(&format!("Code of {serial}:")).ok_or_else(|| {
            let hint = "give the six digits that the device shows now with --mfa-code";
            Failure::usage(format!("a code of {serial} is needed")).hint(hint)
        })?,
    };
    if code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(code);
    }
    Err(Failure::usage("a code has six digits").hint("give what the device shows now, without spaces"))
}

async fn begin(config: &SdkConfig, serial: &str, code: &str, region: &str) -> Result<Kept, Failure> {
    let sts = aws_sdk_sts::config::Builder::from(config).region(Region::new(region.to_owned())).build();
    let call = aws_sdk_sts::Client::from_conf(sts).get_session_token().serial_number(serial).token_code(code);
    let answer = call.duration_seconds(HOURS_12).send().await;
    let refusal = answer.as_ref().err().and_then(|e| e.code()).map(str::to_owned);
    let answer =
        answer.call("sts:GetSessionToken").map_err(|e| refused(refusal.as_deref(), serial, &chain(&e)))?;
    let given = answer.credentials.ok_or_else(|| Failure::new(Code::Unavailable, "AWS gave no session"))?;
    let ends = jiff::Timestamp::from_second(given.expiration.secs());
    Ok(Kept {
        access_key_id: given.access_key_id,
        secret_access_key: given.secret_access_key,
        session_token: given.session_token,
        ends: ends
            .map_err(|e| Failure::new(Code::Unavailable, format!("the session has no sound end: {e}")))?,
    })
}

/// By the code of the error: its words may change.
fn refused(code: Option<&str>, serial: &str, why: &str) -> Failure {
    let failure = |code| Failure::new(code, format!("AWS gives no session for {serial}: {why}"));
    match code {
        // One code for both, a wrong number and a wrong serial.
        Some("AccessDenied") => failure(Code::Usage)
            .hint("a code is good for half a minute and only once: wait for the next one")
            .hint("`aws iam list-mfa-devices` shows the serial of your device; it must be yours, not a colleague's")
            .hint("a device whose clock is off is set right with `aws iam resync-mfa-device`"),
        Some("ValidationError") => failure(Code::Usage)
            .hint("a serial looks like arn:aws:iam::123456789012:mfa/NAME, or like GAHT12345678 on a hardware token"),
        Some("InvalidClientTokenId" | "UnrecognizedClientException") => {
            failure(Code::Usage).hint("the access key is not known: look at AWS_PROFILE and AWS_ACCESS_KEY_ID")
        }
        Some("SignatureDoesNotMatch" | "RequestExpired" | "InvalidSignatureException") => failure(Code::Usage)
            .hint("look at the secret access key, and at the clock of this computer: AWS refuses what is minutes off"),
        _ => failure(Code::Unavailable),
    }
}

/// Where sessions are kept.
fn cache() -> Option<PathBuf> {
    let absolute = |name: &str| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(folder.join("causeway").join("mfa"))
}

/// By key and device, so that a session is never taken for another user's.
fn file(folder: &Path, access_key: &str, serial: &str) -> PathBuf {
    let plain = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
    };
    folder.join(format!("{}_{}.json", plain(access_key), plain(serial)))
}

/// What is kept, unless others can read it too.
fn read(file: &Path) -> Option<Kept> {
    let mode = fs::metadata(file).ok()?.permissions().mode();
    (mode & 0o077 == 0).then(|| serde_json::from_slice(&fs::read(file).ok()?).ok())?
}

/// Beside it first, so that nobody reads half of it.
fn write(file: &Path, kept: &Kept) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let beside = file.with_extension(format!("{}.tmp", std::process::id()));
    // One that was left there by a run that was killed may have another mode.
    let _ = fs::remove_file(&beside);
    let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    out.write_all(&serde_json::to_vec(kept)?)?;
    fs::rename(&beside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(ends: jiff::Timestamp) -> Kept {
        let text = || "x".to_owned();
        Kept { access_key_id: text(), secret_access_key: text(), session_token: text(), ends }
    }

    #[test]
    fn a_session_is_kept_for_its_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder.path().join("mfa"), "AKIA1", "arn:aws:iam::1:mfa/../ada");
        assert_eq!(file.parent().unwrap(), folder.path().join("mfa"));
        let now = jiff::Timestamp::now();
        write(&file, &kept(now)).unwrap();
        write(&file, &kept(now)).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(read(&file).unwrap().ends, now);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(read(&file).is_none());
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        for (code, hint) in [
            ("AccessDenied", "list-mfa-devices"),
            ("ValidationError", "arn:aws:iam::"),
            ("InvalidClientTokenId", "AWS_PROFILE"),
            ("RequestExpired", "clock"),
        ] {
            assert!(format!("{:?}", refused(Some(code), "s", "w")).contains(hint), "{code}");
        }
    }
}
