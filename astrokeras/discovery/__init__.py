"""How interesting is this object? Features, anomaly scores, and ratings that teach the ranking; a page to rate on."""

from astrokeras.discovery.command import add_arguments as add_arguments
from astrokeras.discovery.command import rate as rate
from astrokeras.discovery.features import encoder_features as encoder_features
from astrokeras.discovery.features import feature_map as feature_map
from astrokeras.discovery.features import find_features as find_features
from astrokeras.discovery.features import standardised as standardised
from astrokeras.discovery.images import ObjectImages as ObjectImages
from astrokeras.discovery.images import picture as picture
from astrokeras.discovery.morphology import morphology_features as morphology_features
from astrokeras.discovery.page import rating_page as rating_page
from astrokeras.discovery.page import serve as serve
from astrokeras.discovery.ratings import Rating as Rating
from astrokeras.discovery.ratings import Ratings as Ratings
from astrokeras.discovery.recommender import Progress as Progress
from astrokeras.discovery.recommender import Recommender as Recommender
from astrokeras.discovery.scores import anomaly_scores as anomaly_scores
from astrokeras.discovery.scores import distance_to_rated as distance_to_rated
from astrokeras.discovery.scores import predict_ratings as predict_ratings
from astrokeras.discovery.scores import trained_scores as trained_scores
