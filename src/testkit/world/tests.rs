use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::*;

fn order_of(seed: u64) -> (Vec<usize>, u64) {
    let world = SimWorld::new(seed);
    let order = Arc::new(Mutex::new(Vec::new()));
    for i in 0..8 {
        let (order, world2) = (order.clone(), world.clone());
        world.spawn(Box::pin(async move {
            world2.sleep(Duration::from_millis(5)).await;
            order.lock().push(i);
        }));
    }
    assert_eq!(world.run_until_idle(Duration::from_secs(1)), Idle::Quiet);
    let order = order.lock().clone();
    (order, world.trace_hash())
}

#[test]
fn one_seed_is_one_order() {
    assert_eq!(order_of(3), order_of(3));
}

#[test]
fn seeds_differ_in_order() {
    let orders: std::collections::BTreeSet<_> = (0..20).map(|seed| order_of(seed).0).collect();
    assert!(orders.len() > 15, "{}", orders.len());
}

#[test]
fn timers_fire_in_the_order_of_time() {
    let world = SimWorld::new(1);
    let order = Arc::new(Mutex::new(Vec::new()));
    for ms in [30, 10, 20] {
        let (order, world2) = (order.clone(), world.clone());
        world.spawn(Box::pin(async move {
            world2.sleep(Duration::from_millis(ms)).await;
            order.lock().push((ms, world2.elapsed()));
        }));
    }
    world.run_until_idle(Duration::from_secs(1));
    let at = |ms| (ms, Duration::from_millis(ms));
    assert_eq!(*order.lock(), [at(10), at(20), at(30)]);
}

#[test]
fn what_looks_now_and_then_ends_at_the_limit() {
    let world = SimWorld::new(1);
    let world2 = world.clone();
    world.spawn(Box::pin(async move {
        loop {
            world2.sleep(Duration::from_secs(7)).await;
        }
    }));
    assert_eq!(world.run_until_idle(Duration::from_secs(60)), Idle::TimeUp);
    assert_eq!(world.elapsed(), Duration::from_secs(60));
}

#[test]
fn the_wall_clock_jumps_and_waiting_does_not_notice() {
    let world = SimWorld::new(1);
    let before = world.now();
    world.jump_wall_clock(-3_600_000_000_000);
    assert!(world.now() < before);
    world.run_until(world.sleep(Duration::from_secs(2)));
    assert_eq!(world.elapsed(), Duration::from_secs(2));
}

#[test]
fn a_dropped_timer_wakes_nobody() {
    let world = SimWorld::new(1);
    let dyn_world: Arc<dyn World> = Arc::new(world.clone());
    let got = world.run_until(holdfast_engine::world::timeout(
        &dyn_world,
        Duration::from_secs(100),
        world.sleep(Duration::from_secs(1)),
    ));
    assert_eq!(got, Some(()));
    assert_eq!(world.run_until_idle(Duration::from_secs(1000)), Idle::Quiet);
    assert_eq!(world.elapsed(), Duration::from_secs(1));
}

struct CountDrop(Arc<AtomicUsize>);
impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn the_end_of_a_life_drops_its_tasks_and_no_others() {
    let world = SimWorld::new(9);
    let life = world.life();
    let dropped = Arc::new(AtomicUsize::new(0));
    for task_world in [&life as &dyn World, &life, &world] {
        let (held, sleep) = (CountDrop(dropped.clone()), world.sleep(Duration::from_secs(10)));
        task_world.spawn(Box::pin(async move {
            let _held = held;
            sleep.await;
        }));
    }
    world.run_until_idle(Duration::from_secs(1));
    life.end();
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
    assert_eq!(world.tasks(), 1);
    life.spawn(Box::pin(async { panic!("nothing begins after the end") }));
    world.run_until_idle(Duration::from_secs(20));
    assert_eq!(dropped.load(Ordering::Relaxed), 3);
}

#[test]
fn a_task_may_end_the_life_it_runs_in() {
    let world = SimWorld::new(9);
    let life = world.life();
    let (life2, sleep) = (life.clone(), world.sleep(Duration::from_secs(1)));
    life.spawn(Box::pin(async move {
        life2.end();
        sleep.await;
        panic!("it goes no further");
    }));
    assert_eq!(world.run_until_idle(Duration::from_secs(5)), Idle::Quiet);
    assert_eq!(world.tasks(), 0);
}

#[test]
#[should_panic(expected = "never comes")]
fn waiting_for_nothing_is_told() {
    SimWorld::new(1).run_until(std::future::pending::<()>());
}
