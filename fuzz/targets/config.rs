//! Configurations. What is read is printed and reads back, and makes a stack; every mistake has its place and its remedy;
//! and a secret that somebody wrote down instead of naming it is never shown, however torn the file is.
#![no_main]

mod common;

use causeway_config::{Config, File, Mistakes};
use common::{CANARY, choose, leaks, told};
use std::{fs, path::PathBuf, sync::LazyLock};

static PATH: LazyLock<PathBuf> =
    LazyLock::new(|| tempfile::tempdir().expect("a folder").keep().join("causeway.toml"));

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Config::parse("causeway.toml", text) {
        Ok(config) => {
            let printed = toml::to_string(&config).expect("a configuration is plain data");
            let again = Config::parse("printed", &printed);
            let again = again.unwrap_or_else(|e| panic!("{}\n{printed}", shown(&e)));
            assert_eq!(again, config, "{printed}");
            builds(text);
        }
        Err(mistakes) => drop(shown(&mistakes)),
    }
    if !leaks(text) {
        secrets_stay_secret(text);
    }
});

/// All that is ever shown of mistakes.
fn shown(mistakes: &Mistakes) -> String {
    assert!(!mistakes.all().is_empty(), "a refusal has a reason");
    for mistake in mistakes.all() {
        let (line, column) = mistakes.position(mistake);
        assert!(line > 0 && column > 0);
        assert!(!mistake.message.trim().is_empty(), "a mistake says what it is");
        assert!(mistake.help.as_ref().is_some_and(|h| !h.trim().is_empty()), "no remedy: {mistake:?}");
    }
    let rendered = mistakes.render(80, false);
    assert!(!rendered.trim().is_empty());
    rendered + &told(mistakes)
}

/// What is accepted can be built.
fn builds(text: &str) {
    fs::write(&*PATH, text).expect("the file can be written");
    let file = File::read(&PATH).expect("what was read is read again");
    let given = file.given_to_read();
    match file.stack(&given) {
        Ok(stack) => {
            if let Err(error) = stack.check() {
                panic!("a stack that cannot be: {error}");
            }
        }
        Err(mistakes) => drop(shown(&mistakes)),
    }
    let _ = file.config.rules([]);
}

/// Writes a canary where a secret is to be named, and tears the file: no part of the canary is shown.
fn secrets_stay_secret(text: &str) {
    let Ok(mut table) = text.parse::<toml::Table>() else { return };
    let ecs = table.entry("ecs").or_insert_with(|| toml::Table::new().into());
    let Some(ecs) = ecs.as_table_mut() else { return };
    let secrets = ecs.entry("secrets").or_insert_with(|| toml::Table::new().into());
    let Some(secrets) = secrets.as_table_mut() else { return };
    secrets.iter_mut().for_each(|(_, value)| *value = CANARY.into());
    secrets.insert("CODER_TOKEN".into(), CANARY.into());
    let Ok(printed) = toml::to_string(&table) else { return };
    let mistakes = Config::parse("causeway.toml", &printed).expect_err("a secret is named, not written");
    assert!(!leaks(&shown(&mistakes)), "{}", shown(&mistakes));
    let mut torn = printed.clone();
    let at = (choose(text.as_bytes(), 0, torn.len())..).find(|at| torn.is_char_boundary(*at));
    let at = at.unwrap_or_default();
    match choose(text.as_bytes(), 1, 9) {
        0 => torn.truncate(at),
        1 => drop(torn.remove(at)),
        n => torn.insert_str(at, ["\"", "'", "[", "]", "=", "\n", "\"\"\""][n - 2]),
    }
    if let Err(mistakes) = Config::parse("causeway.toml", &torn) {
        assert!(!leaks(&shown(&mistakes)), "{}\nof\n{torn}", shown(&mistakes));
    }
}
