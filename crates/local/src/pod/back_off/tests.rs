//! The waits are Kubernetes'.

use super::*;

#[test]
fn waits_double_to_five_minutes_and_are_forgiven() {
    let mut back_off = BackOff::default();
    let waits: Vec<u64> = (0..8).map(|_| back_off.after(Duration::from_secs(1)).as_secs()).collect();
    assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
    assert_eq!(back_off.after(Duration::from_secs(600)).as_secs(), 0);
    assert_eq!(back_off.after(Duration::from_secs(1)).as_secs(), 10);
}
