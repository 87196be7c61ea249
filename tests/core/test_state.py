"""A state is a tensor or a tuple of states; mapping keeps its structure."""

import torch

from define.core.state import detach, map_state


def test_the_structure_is_kept():
    one, two, three = torch.ones(1), torch.ones(2), torch.ones(3)
    state = ((one, (two,)), three, ())
    doubled = map_state(lambda part: 2 * part, state)
    assert isinstance(doubled[0][1], tuple) and doubled[2] == ()
    torch.testing.assert_close(doubled, ((2 * one, (2 * two,)), 2 * three, ()))
    assert torch.equal(map_state(torch.neg, one), -one)


def test_a_detached_state_has_the_values_but_no_history():
    leaf = torch.ones(2, requires_grad=True)
    state = (leaf * 2, (leaf * 3, leaf * 4))
    cut = detach(state)
    torch.testing.assert_close(cut, map_state(torch.detach, state), rtol=0, atol=0)
    assert not any(part.requires_grad for part in (cut[0], *cut[1]))
    assert state[0].requires_grad
