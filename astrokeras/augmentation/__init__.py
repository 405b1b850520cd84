"""Random changes that keep the meaning: of labelled images, of photographs with boxes, of n-D data with boxes.

`images(...)` returns a callable on batches, `(images, seed) -> images`. `photographs(...)` and `fields(...)` return a
callable on one image and its objects, `(image, objects, seed) -> (image, objects)`: objects is a dict of `boxes`
`(n, 2 * dims)`, corners with x first, `labels` `(n,)` and, where used, `params` `(n, P)` and `difficult` `(n,)`. One
seed gives one result, in any thread or process; what goes in is never changed in place.
"""

from astrokeras.augmentation.fields import fields as fields
from astrokeras.augmentation.images import VERSION as VERSION
from astrokeras.augmentation.images import ImageAugmentation as ImageAugmentation
from astrokeras.augmentation.images import check_version as check_version
from astrokeras.augmentation.images import images as images
from astrokeras.augmentation.photographs import photographs as photographs
