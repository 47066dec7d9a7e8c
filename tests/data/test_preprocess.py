"""Preprocessing: the defaults, each key, the parser, and its messages."""

import numpy as np
import pytest

from pinat_compile.data import Preprocess
from pinat_compile.errors import OptionError

GREY = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4) * 8
RGB = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4) * 2


def test_default_is_float32_in_0_1_nchw() -> None:
    grey, rgb = Preprocess()(GREY), Preprocess()(RGB)
    assert grey.dtype == rgb.dtype == np.float32
    assert grey.shape == (2, 1, 4, 4) and rgb.shape == (2, 3, 4, 4)
    np.testing.assert_array_equal(rgb, RGB.astype(np.float32) / np.float32(255))


def test_default_leaves_floats_and_integers_as_they_are() -> None:
    np.testing.assert_array_equal(Preprocess()(np.array([[0.5, -2.0]])), np.array([[0.5, -2.0]], np.float32))
    tokens = np.array([[3, 4]], np.int64)
    assert Preprocess(mean=(1.0,))(tokens) is tokens


def test_does_not_write_into_the_raw_samples() -> None:
    raw = np.ones((2, 1, 3, 3), np.float32)
    Preprocess(scale=2.0, mean=(1.0,), std=(3.0,))(raw)
    assert (raw == 1).all()


def test_scale_mean_and_std_per_channel() -> None:
    got = Preprocess(scale=1.0, mean=(1.0, 2.0, 3.0), std=(2.0, 4.0, 8.0))(RGB)
    want = (RGB - np.array([1, 2, 3]).reshape(1, 3, 1, 1)) / np.array([2, 4, 8]).reshape(1, 3, 1, 1)
    np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize(("layout", "shape"), [("NCHW", (2, 3, 4, 4)), ("NHWC", (2, 4, 4, 3)), ("flat", (2, 48))])
def test_layout(layout: str, shape: tuple[int, ...]) -> None:
    assert Preprocess(layout=layout)(RGB).shape == shape


def test_layout_moves_the_channels() -> None:
    np.testing.assert_array_equal(Preprocess(scale=1.0, layout="NHWC")(RGB), RGB.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(Preprocess(scale=1.0, layout="NHW")(GREY), GREY)


def test_resize_keeps_a_constant_image_and_averages_when_it_shrinks() -> None:
    assert Preprocess(resize=(8, 6))(np.full((1, 3, 5, 5), 51, np.uint8)).shape == (1, 3, 8, 6)
    np.testing.assert_allclose(Preprocess(resize=(8, 6))(np.full((1, 3, 5, 5), 51, np.uint8)), 0.2, rtol=1e-6)
    checks = np.indices((1, 1, 64, 64)).sum(0).astype(np.float32) % 2
    np.testing.assert_allclose(Preprocess(resize=(4, 4))(checks), 0.5, atol=0.02)


def test_parse_reads_every_key() -> None:
    assert Preprocess.parse("scale=1/255, mean=0.4,0.5,0.6,std=0.25,resize=32x48,layout=nhwc") == Preprocess(
        scale=1 / 255, mean=(0.4, 0.5, 0.6), std=(0.25,), resize=(32, 48), layout="NHWC")
    assert Preprocess.parse("resize=224").resize == (224, 224)
    assert Preprocess.parse("") == Preprocess()


def test_to_dict_and_back() -> None:
    settings = Preprocess(scale=0.5, mean=(0.1, 0.2), resize=(3, 4), layout="flat")
    assert settings.to_dict() == {"scale": 0.5, "mean": [0.1, 0.2], "std": None, "resize": [3, 4], "layout": "flat"}
    assert Preprocess.from_dict(settings.to_dict()) == settings


@pytest.mark.parametrize(("text", "message"), [
    ("scale=two", "scale=two cannot be read"),
    ("scale=1/0", "scale=1/0 cannot be read"),
    ("scale=1,2", "scale=1,2 cannot be read"),
    ("scale=0", "scale = 0.0: expected a finite number other than 0"),
    ("std=0.5,0", "std = (0.5, 0.0): expected numbers above 0"),
    ("mean=nan", "mean = (nan,): expected finite numbers"),
    ("resize=0", "resize = (0, 0): expected height and width of 1 to 16,384"),
    ("resize=100000x100000", "expected height and width of 1 to 16,384"),
    ("layout=NWHC", "layout = 'NWHC': expected one of NCHW, NHWC, NHW, flat"),
    ("crop=3", "unknown key 'crop'; known: scale, mean, std, resize, layout"),
    ("0.5,scale=1", "'0.5' stands without a key"),
    ("std=1,std=2", "std is given twice"),
])
def test_parse_errors(text: str, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        Preprocess.parse(text)
    assert message in caught.value.message


def test_from_dict_refuses_unknown_keys() -> None:
    with pytest.raises(OptionError, match="unknown key 'crop'"):
        Preprocess.from_dict({"crop": 3})


@pytest.mark.parametrize(("settings", "message"), [
    (Preprocess(mean=(0.1, 0.2)), "mean has 2 numbers, but the samples have shape (3, 4, 4)"),
    (Preprocess(layout="NHW"), "layout NHW does not fit samples of shape (3, 4, 4)"),
])
def test_errors_on_samples(settings: Preprocess, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        settings(RGB)
    assert message in caught.value.message


def test_resize_of_what_is_no_image() -> None:
    with pytest.raises(OptionError, match=r"resize needs images .* the samples are \(7,\)"):
        Preprocess(resize=(2, 2))(np.zeros((3, 7), np.float32))
