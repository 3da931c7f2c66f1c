//! Packets that wait: Linux asks a program for its verdict on each (NFQUEUE),
//! and the verdict comes late.
//!
//! Takes how long, runs inside the namespace whose packets it delays, for ever.
//! Keeps their order, and never drops any while it keeps up.

use std::{
    collections::VecDeque,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketType, bind,
        netlink::{NETFILTER, SocketAddrNetlink},
        recv, sendto, socket,
        sockopt::{Timeout, set_socket_timeout},
    },
};

/// The number of the queue, as the rule of iptables names it.
pub(crate) const QUEUE: u16 = 7;

/// The variable without which the process has no leave to begin.
pub(crate) const LEAVE: &str = "TIMEROSE_TEST_PACKETS_WAIT";

/// What it says once it has begun.
pub(crate) const READY: &str = "packets wait now";

/// Messages of the kernel's queue subsystem, as `nfnetlink_queue.h` has them.
const PACKET: u16 = 0x0300;
const VERDICT: u16 = 0x0301;
const CONFIGURE: u16 = 0x0302;

/// The attributes of those messages.
const PACKET_HEADER: u16 = 1;
const VERDICT_HEADER: u16 = 2;
const COMMAND: u16 = 1;
const PARAMETERS: u16 = 2;
const MAX_LENGTH: u16 = 3;

/// Before the attributes: the header of netlink and that of netfilter.
const HEADERS: usize = 20;

/// Packets that may wait.
const MAX_WAITING: u32 = 100_000;

const KERNEL: SocketAddrNetlink = SocketAddrNetlink::new(0, 0);

/// Lets each packet of the queue wait for `mean` and up to `jitter` more or
/// less. Says that it is ready.
pub(crate) fn delay(mean: Duration, jitter: Duration) -> ! {
    let queue = open();
    eprintln!("{READY}");
    let (mut waiting, mut buffer) = (VecDeque::new(), vec![0; 1 << 16]);
    let (mut last, mut chance) = (Instant::now(), 1_u32);
    loop {
        let pause = waiting.front().map(|(due, _): &(Instant, u32)| {
            let left = due.saturating_duration_since(Instant::now());
            left.max(Duration::from_millis(1))
        });
        set_socket_timeout(&queue, Timeout::Recv, pause).unwrap();
        match recv(&queue, &mut buffer[..], RecvFlags::empty()) {
            Ok((length, _)) => {
                for id in packets(&buffer[..length]) {
                    chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let share = f64::from(chance) / f64::from(u32::MAX);
                    let wait = mean - jitter + (jitter * 2).mul_f64(share);
                    last = last.max(Instant::now() + wait);
                    waiting.push_back((last, id));
                }
            }
            Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => {}
            Err(error) => panic!("{error}"),
        }
        while let Some((_, id)) = waiting.pop_front_if(|(due, _)| *due <= Instant::now()) {
            accept(&queue, id);
        }
    }
}

/// The queue's socket: packets come without their bytes.
fn open() -> OwnedFd {
    let queue = socket(AddressFamily::NETLINK, SocketType::RAW, Some(NETFILTER)).unwrap();
    bind(&queue, &KERNEL).unwrap();
    let (bind_it, headers_only) = ([1, 0, 0, 2], [0, 0, 0, 0, 1]);
    say(&queue, CONFIGURE, COMMAND, &bind_it);
    say(&queue, CONFIGURE, PARAMETERS, &headers_only);
    say(&queue, CONFIGURE, MAX_LENGTH, &MAX_WAITING.to_be_bytes());
    queue
}

/// Lets a packet pass.
fn accept(queue: &OwnedFd, id: u32) {
    let verdict = [1_u32.to_be_bytes(), id.to_be_bytes()].concat();
    say(queue, VERDICT, VERDICT_HEADER, &verdict);
}

/// Sends a message with one attribute.
fn say(queue: &OwnedFd, kind: u16, attribute: u16, value: &[u8]) {
    const REQUEST: u16 = 1;
    let length = HEADERS + 4 + value.len().next_multiple_of(4);
    let mut message = u32::try_from(length).unwrap().to_ne_bytes().to_vec();
    message.extend([kind.to_ne_bytes(), REQUEST.to_ne_bytes()].concat());
    message.extend([0; 8]);
    message.extend([0, 0]);
    message.extend(QUEUE.to_be_bytes());
    let sized = u16::try_from(4 + value.len()).unwrap();
    message.extend([sized.to_ne_bytes(), attribute.to_ne_bytes()].concat());
    message.extend(value);
    message.resize(length, 0);
    sendto(queue, &message, SendFlags::empty(), &KERNEL).unwrap();
}

/// The ids of the packets in what the kernel sent.
fn packets(mut messages: &[u8]) -> Vec<u32> {
    let mut ids = Vec::new();
    while let Some(header) = messages.first_chunk::<6>() {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]);
        let length = usize::try_from(length).unwrap();
        let (message, rest) = messages.split_at(length.min(messages.len()));
        messages = rest
            .get(length.next_multiple_of(4) - length..)
            .unwrap_or_default();
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        assert_eq!(kind, PACKET, "the kernel refused something: {message:?}");
        // The packet's header is the first attribute.
        let attribute = &message[HEADERS..];
        let found = u16::from_ne_bytes([attribute[2], attribute[3]]);
        assert_eq!(found, PACKET_HEADER);
        ids.push(u32::from_be_bytes(attribute[4..8].try_into().unwrap()));
    }
    ids
}
