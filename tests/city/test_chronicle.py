"""What has happened to a user lately."""

from ride_trio.city import Chronicle, chronicle
from ride_trio.matching import Ride, User


def ride(driver: str | None = "dan") -> Ride:
    found = Ride("r7", "c", User("ann"), 1, 0.0, 30.0)
    found.driver = User(driver) if driver else None
    return found


def test_both_sides_of_a_ride_hear_of_it_and_nobody_else() -> None:
    story = Chronicle(lambda: 1.5)
    story.note("ann", "opened a session over grpc")
    story.ride("matched", ride())
    story.ride("ended", ride())
    assert [note.text for note in story.of("dan", 9)] == ["ride r7 is over", "matched with ann, ride r7"]
    assert [note.text for note in story.of("ann", 2)] == ["ride r7 is over", "matched with dan, ride r7"]
    assert [note.at_unix_millis for note in story.of("ann", 9)] == [1500] * 3
    assert story.of("bob", 9) == []


def test_a_request_without_a_driver_is_the_riders() -> None:
    story = Chronicle()
    for event in ("no_driver", "cancelled"):
        story.ride(event, ride(None))
    assert [note.text for note in story.of("ann", 9)] == ["ride r7 is off", "no driver was found for ride r7"]
    assert repr(story) == "<Chronicle, 2 notes>"


def test_the_oldest_notes_go() -> None:
    story = Chronicle()
    for number in range(chronicle.MAX_NOTES + 10):
        story.note("ann", str(number))
    notes = story.of("ann", 10**6)
    assert (len(notes), notes[-1].text) == (chronicle.MAX_NOTES, "10")
