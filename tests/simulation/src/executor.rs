//! Virtual time, and tasks that run in it: one thread, one heap of things to happen, no clock.
//!
//! A task is an invocation of a function. Every port call sleeps for a moment of virtual time, so
//! that all invocations interleave at every port call, in an order that the seed decides.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use crate::world::World;

/// An invocation.
pub type TaskId = u64;

type Act = Box<dyn FnOnce(&Rc<World>)>;

struct Scheduled {
    at_ms: i64,
    number: u64,
    act: Act,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_ms, self.number).cmp(&(other.at_ms, other.number))
    }
}

struct Task {
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    on_kill: Act,
}

/// The scheduled events, and the tasks that run.
pub struct Executor {
    now_ms: Cell<i64>,
    number: Cell<u64>,
    heap: RefCell<BinaryHeap<Reverse<Scheduled>>>,
    tasks: RefCell<BTreeMap<TaskId, Task>>,
    dying: RefCell<Vec<TaskId>>,
    killed: RefCell<Vec<TaskId>>,
    ready: Arc<Mutex<Vec<TaskId>>>,
}

impl Executor {
    /// Nothing is to happen yet.
    pub fn new(now_ms: i64) -> Self {
        Self {
            now_ms: Cell::new(now_ms),
            number: Cell::new(0),
            heap: RefCell::new(BinaryHeap::new()),
            tasks: RefCell::new(BTreeMap::new()),
            dying: RefCell::new(Vec::new()),
            killed: RefCell::new(Vec::new()),
            ready: Arc::new(Mutex::new(Vec::new())),
        }
    }

    fn next_number(&self) -> u64 {
        self.number.set(self.number.get() + 1);
        self.number.get()
    }
}

impl World {
    /// The time, in milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        self.executor.now_ms.get()
    }

    /// A number that was not given before in this run.
    pub fn next_number(&self) -> u64 {
        self.executor.next_number()
    }

    /// Lets something happen later.
    pub fn after(&self, milliseconds: i64, act: impl FnOnce(&Rc<Self>) + 'static) {
        self.at_time(self.now_ms().saturating_add(milliseconds.max(0)), act);
    }

    /// Lets something happen at a time.
    pub fn at_time(&self, at_ms: i64, act: impl FnOnce(&Rc<Self>) + 'static) {
        self.executor.heap.borrow_mut().push(Reverse(Scheduled {
            at_ms: at_ms.max(self.now_ms()),
            number: self.next_number(),
            act: Box::new(act),
        }));
    }

    /// Starts a task under a number from [`World::next_number`]; `on_kill` happens if it is killed
    /// before its end.
    pub fn spawn(
        self: &Rc<Self>,
        task: TaskId,
        future: impl Future<Output = ()> + 'static,
        on_kill: impl FnOnce(&Rc<Self>) + 'static,
    ) {
        let future: Pin<Box<dyn Future<Output = ()>>> = Box::pin(future);
        self.executor.tasks.borrow_mut().insert(
            task,
            Task {
                future: Some(future),
                on_kill: Box::new(on_kill),
            },
        );
        self.after(0, move |world| world.poll(task));
    }

    /// Ends a task where it is. Its effects so far stay.
    pub fn kill(self: &Rc<Self>, task: TaskId) {
        let ended = self.executor.tasks.borrow_mut().remove(&task);
        if let Some(task_state) = ended {
            self.executor.killed.borrow_mut().push(task);
            drop(task_state.future);
            (task_state.on_kill)(self);
        }
    }

    /// Whether this task was killed.
    pub fn was_killed(&self, task: TaskId) -> bool {
        self.executor.killed.borrow().contains(&task)
    }

    /// Whether this task is still running.
    pub fn is_running(&self, task: TaskId) -> bool {
        self.executor.tasks.borrow().contains_key(&task)
    }

    /// How many tasks are running.
    pub fn running(&self) -> usize {
        self.executor.tasks.borrow().len()
    }

    /// Ends the calling task where it is.
    pub async fn die(&self, task: TaskId) {
        self.executor.dying.borrow_mut().push(task);
        std::future::pending::<()>().await;
    }

    /// Lets the next thing happen. False when nothing is to happen any more.
    pub fn step(self: &Rc<Self>) -> bool {
        let next = self.executor.heap.borrow_mut().pop();
        let Some(Reverse(next)) = next else {
            return false;
        };
        self.executor.now_ms.set(next.at_ms);
        (next.act)(self);
        loop {
            let ready = std::mem::take(&mut *self.executor.ready.lock().expect("one thread"));
            if ready.is_empty() {
                return true;
            }
            for task in ready {
                self.poll(task);
            }
        }
    }

    /// Lets everything happen up to this time.
    pub fn run_until(self: &Rc<Self>, at_ms: i64) {
        while self.next_at_ms().is_some_and(|next| next <= at_ms) {
            self.step();
        }
        self.executor.now_ms.set(at_ms.max(self.now_ms()));
    }

    fn next_at_ms(&self) -> Option<i64> {
        let heap = self.executor.heap.borrow();
        heap.peek().map(|Reverse(next)| next.at_ms)
    }

    fn poll(self: &Rc<Self>, task: TaskId) {
        let future = match self.executor.tasks.borrow_mut().get_mut(&task) {
            Some(task) => task.future.take(),
            None => return,
        };
        let Some(mut future) = future else { return };
        let waker = Waker::from(Arc::new(Wakes {
            task,
            ready: Arc::clone(&self.executor.ready),
        }));
        let done = future.as_mut().poll(&mut Context::from_waker(&waker));
        let dying = {
            let mut dying = self.executor.dying.borrow_mut();
            let found = dying.iter().position(|&name| name == task);
            found.map(|at| dying.swap_remove(at)).is_some()
        };
        if done.is_ready() {
            self.executor.tasks.borrow_mut().remove(&task);
        } else if dying {
            drop(future);
            self.kill(task);
        } else if let Some(task) = self.executor.tasks.borrow_mut().get_mut(&task) {
            task.future = Some(future);
        }
    }

    /// Lets time pass for the calling task.
    pub async fn sleep(self: &Rc<Self>, milliseconds: i64) {
        let slot = Slot::new();
        let filled = Rc::clone(&slot);
        self.after(milliseconds, move |_| filled.fill(()));
        slot.wait().await;
    }

    /// Forgets everything that is still to happen, and everybody who runs: they hold the world.
    pub fn dissolve(&self) {
        self.executor.heap.borrow_mut().clear();
        let tasks = std::mem::take(&mut *self.executor.tasks.borrow_mut());
        drop(tasks);
        self.lambda.borrow_mut().forget();
    }
}

struct Wakes {
    task: TaskId,
    ready: Arc<Mutex<Vec<TaskId>>>,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.ready.lock().expect("one thread").push(self.task);
    }
}

/// Something that a task waits for. The first that fills it wins.
#[derive(Debug)]
pub struct Slot<T> {
    value: RefCell<Option<T>>,
    filled: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl<T> Slot<T> {
    /// An empty one.
    pub fn new() -> Rc<Self> {
        Rc::new(Self {
            value: RefCell::new(None),
            filled: Cell::new(false),
            waker: RefCell::new(None),
        })
    }

    /// Fills it, unless it was filled before.
    pub fn fill(&self, value: T) {
        if !self.filled.replace(true) {
            *self.value.borrow_mut() = Some(value);
            if let Some(waker) = self.waker.borrow_mut().take() {
                waker.wake();
            }
        }
    }

    /// Whether it was filled.
    pub fn is_filled(&self) -> bool {
        self.filled.get()
    }

    /// Waits for the value.
    pub async fn wait(&self) -> T {
        std::future::poll_fn(|context| match self.value.borrow_mut().take() {
            Some(value) => Poll::Ready(value),
            None => {
                *self.waker.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}
