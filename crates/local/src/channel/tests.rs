//! Messages arrive whole, descriptors work on the other side, and the end is seen.

use super::*;

#[test]
fn short_and_long_messages_arrive_with_their_descriptors() {
    let (here, there) = Channel::pair().expect("a pair");
    for length in [1, MAX_INLINE + 1000] {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        here.send(&"x".repeat(length), &[reader.as_fd()]).expect("sent");
        drop(reader);
        let received: Received<String> = there.receive().expect("received").expect("a message");
        assert_eq!(received.message.len(), length);
        writer.write_all(b"through").expect("written");
        drop(writer);
        let mut text = String::new();
        let pipe = received.descriptors.into_iter().next().expect("a descriptor");
        File::from(pipe).read_to_string(&mut text).expect("read");
        assert_eq!(text, "through");
    }
}

#[test]
fn the_end_of_one_side_is_seen_by_the_other_behind_what_was_sent() {
    let (here, there) = Channel::pair().expect("a pair");
    assert!(!there.is_closed().expect("a state"));
    here.send(&7, &[]).expect("sent");
    drop(here);
    assert!(there.is_closed().expect("a state"));
    assert_eq!(there.receive::<u8>().expect("received").expect("a message").message, 7);
    assert!(there.receive::<u8>().expect("the end").is_none());
}

#[tokio::test]
async fn asynchronous_ends_wait_for_each_other() {
    let (here, there) = Channel::pair().expect("a pair");
    let (here, there) = (here.into_async().expect("async"), there.into_async().expect("async"));
    let sender = async {
        for number in 0..2000u32 {
            here.send(&number, &[]).await.expect("sent");
        }
        drop(here);
    };
    let receiver = async {
        let mut next = 0;
        while let Some(received) = there.receive::<u32>().await.expect("received") {
            assert_eq!(received.message, next);
            next += 1;
        }
        next
    };
    let ((), count) = tokio::join!(sender, receiver);
    assert_eq!(count, 2000);
}
