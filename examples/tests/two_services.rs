//! The recipe deploys, and does nothing the second time.

use std::process::{Command, Output};

#[test]
fn the_recipe_deploys_once() {
    let sandbox = causeway_sandbox::shared().unwrap();
    let folder = std::env::temp_dir().join(format!("two-services-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (key, secret) = sandbox.credentials("000000004001").unwrap();
    let run = || -> Output {
        let mut recipe = Command::new(std::env::var_os("CARGO_BIN_EXE_two-services").unwrap());
        recipe.current_dir(&folder).envs(sandbox.env());
        recipe.env("AWS_ACCESS_KEY_ID", &key).env("AWS_SECRET_ACCESS_KEY", &secret).output().unwrap()
    };
    let (first, second) = (run(), run());
    std::fs::remove_dir_all(&folder).unwrap();
    let text = |o: &Output| String::from_utf8_lossy(&[o.stdout.as_slice(), &o.stderr].concat()).into_owned();
    assert!(first.status.success(), "{}", text(&first));
    assert!(text(&first).contains("5 to create"), "{}", text(&first));
    assert!(text(&second).contains("Nothing to do"), "{}", text(&second));
}
