//! A way between two hosts on which things go wrong.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use coroner::murder::world::Fault;
use rustix::process::{Pid, Signal, kill_process_group};

/// How often somebody looks whether something changed.
const PAUSE: Duration = Duration::from_millis(20);

/// What is between them.
#[derive(Default)]
struct Weather {
    /// Whether what the caller says, and what the other says, does not come through.
    held: [bool; 2],
    /// Whether no connection comes about.
    apart: bool,
    open: Vec<Connection>,
    /// After how many more deeds of the caller its processes end: connections, and what it says at once.
    fuse: Option<(u64, Pid)>,
}

impl Weather {
    /// The caller is about to do something; `false` if it dies of that.
    fn goes_on(&mut self) -> bool {
        match &mut self.fuse {
            None => true,
            Some((0, group)) => {
                let _ = kill_process_group(*group, Signal::KILL);
                false
            }
            Some((left, _)) => {
                *left -= 1;
                true
            }
        }
    }
}

struct Connection {
    ends: [TcpStream; 2],
    /// Bytes that still come through, in each direction.
    left: [Option<usize>; 2],
}

/// Takes one host's connections to another, and hands on what is said, unless something is between them.
pub struct Relay {
    weather: Arc<Mutex<Weather>>,
    over: Arc<AtomicBool>,
}

impl Relay {
    /// At an address, from now on, for what goes to the same ports of another one.
    pub fn open(own: Ipv4Addr, to: Ipv4Addr, ports: &[u16]) -> std::io::Result<Relay> {
        let relay = Relay { weather: Arc::default(), over: Arc::default() };
        for &port in ports {
            let listener = TcpListener::bind((own, port))?;
            listener.set_nonblocking(true)?;
            let (weather, over) = (relay.weather.clone(), relay.over.clone());
            thread::spawn(move || listen(&listener, (to, port).into(), &weather, &over));
        }
        Ok(relay)
    }

    /// Lets all processes of this group, which are the caller, end in front of its deed of that number; or no more.
    pub fn fuse(&self, fuse: Option<(u64, Pid)>) {
        lock(&self.weather).fuse = fuse;
    }

    /// Something is between them from now on; `back` if that is said of the way back, or nothing is any more.
    pub fn disturb(&self, fault: Option<Fault>, back: bool) {
        let mut weather = lock(&self.weather);
        match fault {
            None => (weather.held, weather.apart) = ([false; 2], false),
            Some(Fault::Apart) => (weather.held, weather.apart) = ([true; 2], true),
            Some(Fault::Stalled) => weather.held = [true; 2],
            // What the second host sends is held: of the way there, what is answered.
            Some(Fault::HalfOpen) => weather.held[usize::from(!back)] = true,
            Some(Fault::Reset) => weather.open.iter().for_each(Connection::end),
            Some(Fault::CutAfter(bytes)) => weather.open.iter_mut().for_each(|open| open.left = [Some(bytes); 2]),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

impl Connection {
    fn end(&self) {
        for end in &self.ends {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

fn lock(weather: &Mutex<Weather>) -> MutexGuard<'_, Weather> {
    weather.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen(listener: &TcpListener, to: SocketAddr, weather: &Arc<Mutex<Weather>>, over: &Arc<AtomicBool>) {
    while !over.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((socket, _)) => {
                let (weather, over) = (weather.clone(), over.clone());
                thread::spawn(move || {
                    let _ = carry(socket, to, &weather, &over);
                });
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// Carries one connection; ends when it does.
fn carry(caller: TcpStream, to: SocketAddr, weather: &Mutex<Weather>, over: &AtomicBool) -> std::io::Result<()> {
    while lock(weather).apart && !over.load(Ordering::Relaxed) {
        thread::sleep(PAUSE);
    }
    if !lock(weather).goes_on() {
        return Ok(());
    }
    let other = TcpStream::connect(to)?;
    for socket in [&caller, &other] {
        socket.set_nonblocking(false)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PAUSE))?;
    }
    let number = {
        let mut weather = lock(weather);
        weather.open.push(Connection { ends: [caller.try_clone()?, other.try_clone()?], left: [None; 2] });
        weather.open.len() - 1
    };
    thread::scope(|scope| {
        scope.spawn(|| pump(&caller, &other, (number, 0), weather, over));
        scope.spawn(|| pump(&other, &caller, (number, 1), weather, over));
    });
    Ok(())
}

/// Hands on what comes from one end, in that direction of the connection of that number.
fn pump(
    mut from: &TcpStream,
    mut to: &TcpStream,
    (number, way): (usize, usize),
    weather: &Mutex<Weather>,
    over: &AtomicBool,
) {
    let mut buffer = [0; 65536];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                continue;
            }
            Err(_) => 0,
        };
        while lock(weather).held[way] && !over.load(Ordering::Relaxed) {
            thread::sleep(PAUSE);
        }
        if way == 0 && read > 0 && !lock(weather).goes_on() {
            break;
        }
        let (goes, cut) = {
            let left = &mut lock(weather).open[number].left[way];
            let goes = left.map_or(read, |left| left.min(read));
            *left = left.map(|left| left - goes);
            (goes, *left == Some(0))
        };
        if read == 0 || to.write_all(&buffer[..goes]).is_err() || cut {
            break;
        }
    }
    lock(weather).open[number].end();
}
