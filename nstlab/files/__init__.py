"""Files: picture decoding, the sample pictures, the files of filters, and atomic writing."""
