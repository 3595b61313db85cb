//! The lock is exclusive and says who holds it.

use super::*;

#[test]
fn a_second_lock_names_the_first_holder() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = Home::open(&folder.path().join("deep/home")).expect("a home");
    assert!(!home.is_running());
    let lock = home.lock(Duration::ZERO).expect("the lock");
    assert!(home.is_running());
    let refusal = home.lock(Duration::ZERO).expect_err("a refusal").to_string();
    assert!(refusal.contains(&format!("(process {})", std::process::id())), "{refusal}");
    drop(lock);
    assert!(!home.is_running());
    home.lock(Duration::ZERO).expect("the lock again");
}
