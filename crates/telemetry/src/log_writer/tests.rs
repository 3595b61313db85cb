use super::*;

#[test]
fn lines_of_several_workers_arrive_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access.log");
    let writer = LogWriter::start().expect("a thread");
    let target = Target::File(path.clone());
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let mut buffer = writer.buffer(&target);
            std::thread::spawn(move || {
                for line in 0..1000 {
                    buffer.append(|out| out.extend_from_slice(format!("{worker} {line}\n").as_bytes()));
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().expect("it ends");
    }
    writer.flush();
    let text = std::fs::read_to_string(path).expect("the file is there");
    assert_eq!(text.lines().count(), 4000);
    assert!(text.lines().all(|line| line.split(' ').count() == 2));
    assert_eq!(writer.dropped(), 0);
}

#[test]
fn the_first_line_of_a_buffer_asks_to_be_flushed() {
    let writer = LogWriter::start().expect("a thread");
    let folder = tempfile::tempdir().expect("a folder");
    let mut buffer = writer.buffer(&Target::File(folder.path().join("log")));
    assert!(buffer.append(|out| out.push(b'x')));
    assert!(!buffer.append(|out| out.push(b'y')));
    buffer.flush();
    assert!(buffer.append(|out| out.push(b'z')));
}
