use proptest::prelude::*;

use super::*;

#[test]
fn without_a_certificate_it_is_ordered_now() {
    let plan = plan(&Situation::default(), NOW);
    assert_eq!(Plan { due: Due::Order, next_attempt: NOW }, plan);
}

#[test]
fn what_can_never_be_valid_is_no_certificate() {
    let situation = Situation { leaf: Some(leaf(NOW, NOW)), ..Situation::default() };
    assert_eq!(Due::Order, plan(&situation, NOW).due);
}

#[test]
fn without_an_offer_it_is_renewed_when_a_third_of_its_life_is_left() {
    assert_eq!(NOW.plus(60 * DAY), planned(90 * DAY, None, None));
    assert_eq!(NOW.plus(7 * DAY), planned(10 * DAY + DAY / 2, None, None));
}

#[test]
fn short_lives_are_renewed_at_half() {
    assert_eq!(NOW.plus(3 * DAY), planned(6 * DAY, None, None));
    assert_eq!(NOW.plus(HOUR), planned(2 * HOUR, None, None));
}

#[test]
fn the_operator_moves_the_renewal_but_leaves_a_third_of_the_life() {
    let before = |days| Some(Duration::from_secs(days * DAY));
    assert_eq!(NOW.plus(80 * DAY), planned(90 * DAY, before(10), None));
    assert_eq!(NOW.plus(30 * DAY), planned(90 * DAY, before(89), None));
    assert_eq!(NOW.plus(30 * DAY), planned(90 * DAY, Some(Duration::MAX), None));
}

#[test]
fn an_offer_of_the_authority_comes_first() {
    let window = Window { start: NOW.plus(40 * DAY), end: NOW.plus(42 * DAY) };
    let at = |seed| planned(90 * DAY, Some(Duration::from_secs(10)), Some((window, seed)));
    assert_eq!(window.start, at(0));
    assert_eq!(NOW.plus(41 * DAY), at(1 << 63));
    assert_eq!(window.end, at(u64::MAX));
}

#[test]
fn a_window_in_the_past_is_due_at_once() {
    let window = Window { start: NOW.minus(3 * DAY), end: NOW.minus(DAY) };
    assert_eq!(NOW, planned(90 * DAY, None, Some((window, 7))));
}

#[test]
fn a_window_that_is_none_for_this_certificate_is_ignored() {
    let [early, late, end] = [10, 20, 91].map(|days| NOW.plus(days * DAY));
    for (start, end) in [(late, early), (early, early), (early, end), (NOW.plus(85 * DAY), end)] {
        assert_eq!(NOW.plus(60 * DAY), planned(90 * DAY, None, Some((Window { start, end }, 0))));
    }
    let info = info(Window { start: early, end: late }, 0);
    let leaf = Leaf { id: "its successor", ..leaf(NOW, end) };
    let situation =
        Situation { leaf: Some(leaf), renewal_info: Some(&info), ..Situation::default() };
    let plan = plan(&situation, NOW);
    assert_eq!(Due::FetchRenewalInfo, plan.due);
    assert_eq!(end.minus(91 * DAY / 3), plan.next_attempt);
}

#[test]
fn the_last_tenth_of_a_life_is_kept_for_what_goes_wrong() {
    let window = Window { start: NOW.plus(10 * DAY), end: NOW.plus(90 * DAY) };
    assert_eq!(NOW.plus(81 * DAY), planned(90 * DAY, None, Some((window, u64::MAX))));
}

#[test]
fn the_authority_is_asked_again_when_it_said_but_within_a_day() {
    let due = |ask_again: UnixTime, now| {
        let info = RenewalInfo { ask_again, ..info(FAR, 0) };
        let leaf = leaf(NOW, NOW.plus(90 * DAY));
        let situation =
            Situation { leaf: Some(leaf), renewal_info: Some(&info), ..Situation::default() };
        plan(&situation, now).due
    };
    assert_eq!(Due::Wait { until: NOW.plus(HOUR) }, due(NOW.plus(HOUR), NOW));
    assert_eq!(Due::FetchRenewalInfo, due(NOW.plus(HOUR), NOW.plus(HOUR)));
    assert_eq!(Due::Wait { until: NOW.plus(MINUTE) }, due(NOW.minus(9), NOW));
    assert_eq!(Due::Wait { until: NOW.plus(DAY) }, due(UnixTime(u64::MAX), NOW));
    assert_eq!(Due::FetchRenewalInfo, due(NOW.plus(HOUR), NOW.minus(1)), "asked in the future");
}

#[test]
fn nobody_is_asked_about_a_certificate_whose_life_is_over() {
    let info = RenewalInfo { asked: NOW.minus(2 * DAY), ..info(FAR, 0) };
    let attempt = Attempt::begun(None, NOW, 0).failed(NOW, None);
    let due = |end| {
        let situation = Situation {
            leaf: Some(leaf(NOW.minus(DAY), end)),
            renewal_info: Some(&info),
            attempt: Some(&attempt),
            ..Situation::default()
        };
        plan(&situation, NOW.plus(10)).due
    };
    assert_eq!(Due::Wait { until: NOW.plus(75) }, due(NOW));
    assert_eq!(Due::FetchRenewalInfo, due(NOW.plus(11)));
    let unasked = Situation { leaf: Some(leaf(NOW.minus(DAY), NOW)), ..Situation::default() };
    assert_eq!(Due::Order, plan(&unasked, NOW).due);
}

#[test]
fn the_point_stays_while_the_window_does() {
    let first = RenewalInfo::answered(question(None), FAR, None, 5);
    let same = RenewalInfo::answered(question(Some(&first)), FAR, None, 6);
    let unanswered = RenewalInfo::unanswered(question(Some(&same)), 9);
    let moved = Window { start: FAR.start, end: FAR.end.plus(1) };
    let other = RenewalInfo::answered(question(Some(&unanswered)), moved, None, 7);
    assert_eq!([5, 5, 5, 7], [&first, &same, &unanswered, &other].map(|info| info.seed));
    assert_eq!(Some(FAR), unanswered.window);
    let elsewhere = Question { leaf: "other", ..question(Some(&first)) };
    assert_eq!(None, RenewalInfo::unanswered(elsewhere, 0).window);
    let retry_after = Some(Duration::from_secs(HOUR));
    let told = RenewalInfo::answered(question(None), FAR, retry_after, 0);
    assert_eq!(NOW.plus(HOUR), told.ask_again);
}

#[test]
fn failures_double_the_pause_from_a_minute_to_six_hours() {
    let pause = |failures, seed| {
        let attempt = Attempt { failures, ..Attempt::begun(None, NOW, seed).succeeded(NOW) };
        after(&attempt, None).since(NOW)
    };
    assert_eq!([75, 150, 300], [1, 2, 3].map(|failures| pause(failures, 0)));
    assert_eq!([60, 120, 240], [1, 2, 3].map(|failures| pause(failures, u64::MAX)));
    assert_eq!([6 * HOUR; 2], [10, u32::MAX].map(|failures| pause(failures, 0)));
}

#[test]
fn near_the_end_of_a_certificate_it_is_tried_more_often() {
    let pause = |left| {
        let attempt = Attempt { failures: 30, ..Attempt::begun(None, NOW, 0).succeeded(NOW) };
        after(&attempt, Some(leaf(NOW.minus(DAY), NOW.plus(left)))).since(NOW)
    };
    assert_eq!([HOUR, 6 * MINUTE, MINUTE], [10 * HOUR, HOUR, 50].map(pause));
}

#[test]
fn an_authority_that_says_when_to_come_again_is_heard_for_a_week_at_most() {
    let until = |seconds| {
        let attempt = Attempt::begun(None, NOW, 0);
        after(&attempt.failed(NOW, Some(Duration::from_secs(seconds))), None)
    };
    assert_eq!(NOW.plus(3 * DAY), until(3 * DAY));
    assert_eq!(NOW.plus(7 * DAY), until(u64::MAX));
    assert_eq!(NOW.plus(75), until(5), "the back-off is longer");
}

#[test]
fn what_ended_with_its_process_is_gone_on_with_at_once_and_often_ones_up_to_a_minute_later() {
    let mut attempt = Attempt::begun(None, NOW, 0);
    for before in 0..200_u64 {
        let pause = before.saturating_sub(10).min(MINUTE);
        assert_eq!(NOW.plus(pause), after(&attempt, None), "{attempt:?}");
        attempt = Attempt::begun(Some(&attempt), NOW, 0);
    }
    assert_eq!(0, attempt.failures);
    let failed = attempt.failed(NOW, None);
    assert_eq!((1, 0, None), (failed.failures, failed.interruptions, failed.begun));
    assert_eq!(NOW.plus(75), after(&failed, None));
    assert_eq!(0, failed.succeeded(NOW).failures);
}

#[test]
fn an_order_that_was_left_goes_on_though_nothing_is_due_and_not_before_the_authority_wants_it() {
    let leaf = leaf(NOW, NOW.plus(90 * DAY));
    let next = |attempt: &Attempt, interrupted| {
        let leaf = Some(leaf);
        let attempt = Some(attempt);
        let situation = Situation { leaf, attempt, interrupted, ..Situation::default() };
        plan(&situation, NOW).next_attempt
    };
    let came = Attempt::begun(None, NOW.minus(9), 0).succeeded(NOW.minus(9));
    let left = Attempt::begun(Some(&came), NOW.minus(1), 0);
    assert_eq!(NOW, next(&left, true));
    assert_eq!(NOW.plus(60 * DAY), next(&left, false));
    let hour = Some(Duration::from_secs(HOUR));
    let held = Attempt::begun(Some(&came.failed(NOW, hour)), NOW, 0);
    assert_eq!(NOW.plus(HOUR), next(&held, true));
}

#[test]
fn questions_without_an_answer_do_not_stay_in_step() {
    let again = |seed| RenewalInfo::unanswered(question(None), seed).ask_again;
    assert_eq!([NOW.plus(6 * HOUR), NOW.plus(270 * MINUTE)], [0, u64::MAX].map(again));
}

#[test]
fn what_is_forced_waits_for_the_authority_alone() {
    let leaf = leaf(NOW, NOW.plus(90 * DAY));
    let attempt = Attempt::begun(None, NOW, 0).failed(NOW, None);
    let held = attempt.clone().failed(NOW, Some(Duration::from_secs(HOUR)));
    let info = info(FAR, 0);
    let forced = |attempt, renewal_info| {
        let leaf = Some(leaf);
        Situation { leaf, renewal_info, attempt, forced: true, ..Situation::default() }
    };
    assert_eq!(Due::Order, plan(&forced(None, None), NOW).due);
    assert_eq!(Due::Order, plan(&forced(Some(&attempt), Some(&info)), NOW).due);
    let held = forced(Some(&held), Some(&info));
    assert_eq!(Due::Wait { until: NOW.plus(HOUR) }, plan(&held, NOW).due);
    assert_eq!(Due::Order, plan(&held, NOW.plus(HOUR)).due);
}

#[test]
fn an_authority_that_always_wants_it_renewed_gets_an_order_every_two_days() {
    let window = Window { start: NOW.minus(2), end: NOW.minus(1) };
    let attempt = Attempt::begun(None, NOW, 0).succeeded(NOW);
    let situation = Situation {
        leaf: Some(leaf(NOW, NOW.plus(90 * DAY))),
        renewal_info: Some(&info(window, 0)),
        attempt: Some(&attempt),
        ..Situation::default()
    };
    assert_eq!(NOW.plus(2 * DAY), plan(&situation, NOW).next_attempt);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_stored_and_whatever_the_clock_says_no_wait_is_long_or_in_vain(
        stored in any_stored(), now in any_time()
    ) {
        let situation = stored.situation();
        let first = plan(&situation, now);
        prop_assert!(first.next_attempt >= now);
        if let Due::Wait { until } = first.due {
            prop_assert!(until > now && until <= now.plus(LONGEST_HOLD));
            prop_assert!(until <= first.next_attempt);
            let then = plan(&situation, until);
            prop_assert!(!matches!(then.due, Due::Wait { .. }), "at {until:?}: {then:?}");
        }
        let attempt = plan(&situation, first.next_attempt);
        prop_assert_eq!(first.next_attempt, attempt.next_attempt);
        let waits = matches!(attempt.due, Due::Wait { .. });
        prop_assert!(!waits, "{attempt:?}");
    }

    #[test]
    fn for_years_no_order_comes_within_a_back_off_and_few_come_in_all(
        life in 6 * DAY..400 * DAY, health in 0..=100_u64, chance in any::<u64>()
    ) {
        let mut world = World::new(life, health, chance);
        while world.now < NOW.plus(2 * YEAR) {
            world.step();
        }
        world.check_orders();
    }

    #[test]
    fn what_is_answered_before_its_end_never_expires(
        life in prop_oneof![HOUR..4 * DAY, DAY..400 * DAY], outage in 0..=80_u64, chance in any::<u64>()
    ) {
        let mut world = World::new(life, 100, chance);
        while world.now < NOW.plus(20 * life) {
            let down = world.renewal_began.zip(world.not_after).is_some_and(|(began, end)| {
                world.now < began.plus(end.since(began) * outage / 100)
            });
            world.health = if down { 0 } else { 100 };
            world.step();
            prop_assert!(world.not_after.is_none_or(|end| end > world.now));
        }
        prop_assert!(world.orders.iter().filter(|order| order.granted).count() >= 20);
    }

    #[test]
    fn a_clock_that_is_set_by_years_costs_few_orders_and_no_years(
        life in 6 * DAY..400 * DAY, chance in any::<u64>(),
        jumps in prop::collection::vec((0..400_u64, -30..30_i64), 0..6)
    ) {
        let mut world = World::new(life, 50, chance);
        let mut jumps = jumps;
        while world.run < YEAR {
            world.step();
            jumps.retain(|&(day, years)| {
                let waits = world.run < day * DAY;
                if !waits {
                    world.now = world.now.plus(40 * YEAR).minus((40 - years) as u64 * YEAR);
                }
                waits
            });
        }
        prop_assert!(world.orders.len() <= 2_500, "{} orders", world.orders.len());
        prop_assert!(world.steps <= 25_000, "{} steps", world.steps);
    }
}

/// An authority and a certificate, over simulated time.
struct World {
    now: UnixTime,
    /// Seconds that went by, whatever the clock was set to.
    run: u64,
    life: u64,
    /// In how many cases of a hundred the authority does what it should.
    health: u64,
    chance: u64,
    leaf: String,
    not_before: UnixTime,
    not_after: Option<UnixTime>,
    attempt: Option<Attempt>,
    info: Option<RenewalInfo>,
    renewal_began: Option<UnixTime>,
    orders: Vec<Order>,
    steps: usize,
}

struct Order {
    at: UnixTime,
    granted: bool,
    /// At least how long nothing may follow.
    pause: u64,
}

impl World {
    fn new(life: u64, health: u64, chance: u64) -> Self {
        Self {
            now: NOW,
            run: 0,
            life,
            health,
            chance,
            leaf: String::new(),
            not_before: NOW,
            not_after: None,
            attempt: None,
            info: None,
            renewal_began: None,
            orders: Vec::new(),
            steps: 0,
        }
    }

    fn step(&mut self) {
        self.steps += 1;
        match plan(&self.situation(), self.now).due {
            Due::Order => self.order(),
            Due::FetchRenewalInfo => self.fetch(),
            Due::Wait { until } => {
                self.run += until.since(self.now);
                self.now = until;
            }
        }
    }

    fn situation(&self) -> Situation<'_> {
        let not_before = self.not_before;
        let leaf = self.not_after.map(|not_after| Leaf { id: &self.leaf, not_before, not_after });
        Situation {
            leaf,
            renewal_info: self.info.as_ref(),
            attempt: self.attempt.as_ref(),
            ..Situation::default()
        }
    }

    fn order(&mut self) {
        let (granted, seed) = (self.draw() % 100 < self.health, self.draw());
        self.renewal_began.get_or_insert(self.now);
        let attempt = Attempt::begun(self.attempt.as_ref(), self.now, seed);
        let pause = if granted {
            self.grant();
            self.attempt = Some(attempt.succeeded(self.now));
            LONGEST_REST.min(self.life / 4).max(MINUTE)
        } else {
            let patience =
                (self.health > 0 && self.draw().is_multiple_of(10)).then(|| self.draw() % WEEK);
            let left = self.not_after.map_or(0, |end| end.since(self.now));
            let longest = if left > 0 { LONGEST_PAUSE.min(left / 10) } else { LONGEST_PAUSE };
            let usual = (60 << attempt.failures.min(20)).min(longest * 4 / 5);
            self.attempt = Some(attempt.failed(self.now, patience.map(Duration::from_secs)));
            usual.max(MINUTE).max(patience.unwrap_or(0))
        };
        self.orders.push(Order { at: self.now, granted, pause });
    }

    fn grant(&mut self) {
        self.leaf = format!("{}", self.draw());
        self.not_before = self.now.minus(self.draw() % (self.life / 50));
        self.not_after = Some(self.not_before.plus(self.life));
        self.renewal_began = None;
    }

    fn fetch(&mut self) {
        let seed = self.draw();
        let start = self.not_before.plus(self.draw() % (self.life * 5 / 4)).minus(self.life / 4);
        let end = start.plus(self.draw() % (self.life / 4));
        let retry_after = Some(Duration::from_secs(self.draw() % (3 * DAY)));
        let answers = self.draw() % 100 < self.health;
        let previous = self.info.take();
        let question = Question { leaf: &self.leaf, asked: self.now, previous: previous.as_ref() };
        self.info = Some(if answers {
            RenewalInfo::answered(question, Window { start, end }, retry_after, seed)
        } else {
            RenewalInfo::unanswered(question, seed)
        });
    }

    /// Splitmix64.
    fn draw(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.chance ^ (self.chance >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn check_orders(&self) {
        for pair in self.orders.windows(2) {
            let gap = pair[1].at.since(pair[0].at);
            assert!(gap >= pair[0].pause, "{gap} s after an order, not {}", pair[0].pause);
        }
        let most = |period: u64, granted: Option<bool>| {
            let of_kind = |order: &&Order| granted.is_none_or(|granted| granted == order.granted);
            let orders: Vec<_> = self.orders.iter().filter(of_kind).map(|order| order.at).collect();
            let in_period = |(first, at): (usize, &UnixTime)| {
                orders[first..].partition_point(|order| *order < at.plus(period))
            };
            orders.iter().enumerate().map(in_period).max().unwrap_or(0)
        };
        assert!(most(WEEK, None) <= 150, "{} orders in a week", most(WEEK, None));
        let granted = if self.life < 8 * DAY { 5 } else { 4 };
        assert!(most(WEEK, Some(true)) <= granted, "{} in a week", most(WEEK, Some(true)));
        let failed = most(YEAR, Some(false));
        assert!(failed <= 2_200, "{failed} failures in a year");
    }
}

/// Anything that can be stored.
#[derive(Debug)]
struct Stored {
    leaf: Option<(bool, UnixTime, UnixTime)>,
    renew_before: Option<Duration>,
    attempt: Option<Attempt>,
    info: Option<RenewalInfo>,
    forced: bool,
}

impl Stored {
    fn situation(&self) -> Situation<'_> {
        let leaf = self.leaf.map(|(known, not_before, not_after)| {
            let id = if known { LEAF } else { "another" };
            Leaf { id, not_before, not_after }
        });
        Situation {
            leaf,
            renew_before: self.renew_before,
            renewal_info: self.info.as_ref(),
            attempt: self.attempt.as_ref(),
            forced: self.forced,
            interrupted: false,
        }
    }
}

fn any_stored() -> impl Strategy<Value = Stored> {
    let leaf = prop::option::of((prop::bool::weighted(0.8), any_time(), any_time()));
    let renew_before = prop::option::of(any::<Duration>());
    let attempt = (any_time(), 0..40_u32, prop::option::of(any_time()), any::<u64>()).prop_map(
        |(at, failures, not_until, seed)| {
            let begun = seed.is_multiple_of(3).then_some(at);
            Attempt { at, failures, begun, interruptions: failures, not_until, seed }
        },
    );
    let window = prop::option::of((any_time(), any_time()));
    let info = (any_time(), any_time(), window, any::<u64>()).prop_map(
        |(asked, ask_again, window, seed)| {
            let window = window.map(|(start, end)| Window { start, end });
            RenewalInfo { leaf: LEAF.to_owned(), asked, ask_again, window, seed }
        },
    );
    let (attempt, info) = (prop::option::of(attempt), prop::option::of(info));
    (leaf, renew_before, attempt, info, any::<bool>()).prop_map(
        |(leaf, renew_before, attempt, info, forced)| Stored {
            leaf,
            renew_before,
            attempt,
            info,
            forced,
        },
    )
}

/// Mostly within a few months of each other, sometimes anywhere.
fn any_time() -> impl Strategy<Value = UnixTime> {
    let anywhere = prop_oneof![any::<u64>(), Just(0), Just(u64::MAX), u64::MAX - DAY..u64::MAX];
    let near = NOW.0 - 100 * DAY..NOW.0 + 100 * DAY;
    let close = NOW.0 - 2 * DAY..NOW.0 + 2 * DAY;
    prop_oneof![3 => near, 3 => close, 1 => anywhere].prop_map(UnixTime)
}

/// When a certificate that came now and was asked about is ordered next.
fn planned(life: u64, before: Option<Duration>, window: Option<(Window, u64)>) -> UnixTime {
    let info = window.map_or_else(
        || RenewalInfo::unanswered(question(None), 0),
        |(window, seed)| info(window, seed),
    );
    let situation = Situation {
        leaf: Some(leaf(NOW, NOW.plus(life))),
        renew_before: before,
        renewal_info: Some(&info),
        ..Situation::default()
    };
    plan(&situation, NOW).next_attempt
}

/// When the next order follows `attempt`, with a certificate that is to be renewed or none.
fn after(attempt: &Attempt, leaf: Option<Leaf<'_>>) -> UnixTime {
    let renew_before = Some(Duration::MAX);
    let situation =
        Situation { leaf, renew_before, attempt: Some(attempt), ..Situation::default() };
    plan(&situation, attempt.at).next_attempt
}

fn leaf(not_before: UnixTime, not_after: UnixTime) -> Leaf<'static> {
    Leaf { id: LEAF, not_before, not_after }
}

fn question(previous: Option<&RenewalInfo>) -> Question<'_> {
    Question { leaf: LEAF, asked: NOW, previous }
}

fn info(window: Window, seed: u64) -> RenewalInfo {
    RenewalInfo::answered(question(None), window, None, seed)
}

const LEAF: &str = "aki.serial";
const NOW: UnixTime = UnixTime(1_800_000_000);
const FAR: Window = Window { start: UnixTime(1_804_000_000), end: UnixTime(1_804_500_000) };
const WEEK: u64 = 7 * DAY;
const YEAR: u64 = 365 * DAY;
