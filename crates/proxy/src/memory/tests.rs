//! What is dropped, and that the program lives on.

use super::*;

const SMAPS: &str = "\
1000-3000 r--p 00000000 fe:00 1 /bin/proxy
Rss:                   4 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
3000-6000 r-xp 00002000 fe:00 1 /bin/proxy
Rss:                   8 kB
Private_Dirty:         4 kB
6000-7000 r--p 00005000 fe:00 1 /bin/proxy
Rss:                   4 kB
Anonymous:             4 kB
7000-8000 rw-p 00006000 fe:00 1 /bin/proxy
Rss:                   4 kB
9000-a000 r--p 00000000 00:00 0 [vvar]
Rss:                   4 kB
b000-c000 r--p 00000000 00:00 0
Rss:                   4 kB
d000-e000 r--s 00000000 fe:00 2 /bin/proxy
Rss:                   4 kB
e000-f000 r-xp 00000000 fe:00 2 /lib/other
Rss:                   4 kB
";

#[test]
fn only_clean_parts_of_files_are_dropped() {
    let expected = [
        Mapping { start: 0x1000, length: 0x2000, resident: 4096 },
        Mapping { start: 0x3000, length: 0x3000, resident: 8192 },
    ];
    assert_eq!(clean(SMAPS, Path::new("/bin/proxy")), expected);
}

#[test]
fn a_program_without_its_pages_goes_on() {
    let dropped = drop_clean_pages().expect("what is mapped");
    assert!(dropped > 64 * 1024, "{dropped}");
    let again: u64 = (0..1000_u64).map(|number| number * number).sum();
    assert_eq!(again, 332_833_500);
}
