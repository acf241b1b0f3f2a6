//! A signing key for tests of tokens, and of no other use: `ring` cannot make RSA keys.

/// PKCS #8 in base64.
pub(super) const KEY: &str = concat!(
    "MIIEugIBADANBgkqhkiG9w0BAQEFAASCBKQwggSgAgEAAoIBAQCb14cELwlQaNkRTqvFaqeB+/DKDwHAR3x72H6fGio5tmv0",
    "c1H/Rp4BiYue7dGRx6ROnYrbNJOlOYZDaBh0wkyVmSkUTQ/4TqQ43xwpj3GZ81GpqIZbEFV+tF/u/a+RjKCtlzgvpHkgHspN",
    "BYyu9GMekvx5jqc2UXUvLwJfrm/Fyws08iNMqiuBAss2pS57PLNr+3SeYpwl5VDSnFma7n4mv5UsKfe2az94Ozeqae9+uJVH",
    "0OCBhWY7rFYmxspRVgeYgNqThKrFx/VEW1fRdh9aFJY9zjVmh9fLKFD2zAhsATDQlDyRjJPyvcqYv7ECzkoRbmrjWeA73+zj",
    "j+S6Dg1XAgMBAAECgf9T0V8FxJZDjMuCpaWmk81LQ+aCYFFSNday0NqIGMkaWAjJOHBNv+ZYN0c7+qGgTyw9mWHLoMs/zhcT",
    "JGEfZZpTvz/yg3S+GGYkaVLTEvLTf2uJExrr6u4nh03YysZv3Rw+1S0qIwe4pUibE1tYm9SGTY3BsTD0HNBWQK4imp5QBwhB",
    "YS6kLYSb1YKo0XNUxGS7DJrTnWJMjyJbh93Rz/lErewyFwwLB1Z8ii3M/WBE0mkdYYSR03Vh8AOyJtoU8+hc6Tdc7kzCyVyw",
    "fJC642ZsJDo1RPBijHzlv+fuQ9aXZZtBI/BhxWVSM73Qk5RUDvqILa3xsq83TB5VnQsopmECgYEAy8BKsnZveehWMyhFmunp",
    "NaNAi2xNNxhozsnNGNStd5Z+Ti/hDF3zvA37HqzucEtyQ8LNTJdc2m4f79sViE8Ay2L52IXKPfBpEmTja/a5Q2eagVyaj12P",
    "qhOg5v4OfQx2gZ/WjbeBAiu61hPGSfsrsqkbiOYKcjPRFIXT62STUW0CgYEAw84f5HxGIaxOau3yyn1WUS+8j0XWiCrDDosL",
    "Pe7ts6fUtpEq7Sn367EMH4vWG1ooYZXtqRQIwybXemVpwKpxbtBZRHpImpt9eubwYehQXePLQmwNvD7OuebuszOBfGTuI2b3",
    "CwzoiGRu4fpiZlbPgrm3I0pTYmqCSFvWFfoT41MCgYBEV0U2wt71RubS1eky4s5kPVPC8BqeJkPRSILQl1VvzTykQQ79NO4x",
    "34ahbWO0qrmy3L47uHFemp1/uD5qsAUWMyaWZ5nEWMUFdG2Lov/VCgUa6tK0z68GXvsTP5fgfbOqGtC+TBSrg7txXsSdv++S",
    "R4KC0pYiZBr3BURlqiB3qQKBgCOt3bXex1C/exKVBVbMe/wTPMLGsQ7i6+QshgHlFb9U57fUwAOzUA/MlS7yZjNZvF372fCj",
    "S+1zmHQfIqQO6tiMcpe9yJkTmEva5RaSJILXTWRvGBmjQDwzzm8tBX1LTvF4g6+pzH19/46B94g6bVmeybZOht86FT9mLJ6Y",
    "kSMtAoGANPoDDqqNeU0eNb0kS+v5iDG3IdpYHoitHhRAoP/k4rDpWN6QtwnFh+8zCGjIkpFZXbAdolj6qYuXNjixDFxbnfxp",
    "I97bm40E4uRjdQIJzfvu35iykMTm0UtmzHQ5Qvs+1g8q7d9O4mXNEd5FmOkueBy2HULG16yJd7c9xmFVLzM=",
);

/// Its modulus, as a JWK has it. The exponent is 65537, `AQAB`.
pub(super) const MODULUS: &str = concat!(
    "m9eHBC8JUGjZEU6rxWqngfvwyg8BwEd8e9h-nxoqObZr9HNR_0aeAYmLnu3RkcekTp2K2zSTpTmGQ2gYdMJMlZkpFE0P-E6k",
    "ON8cKY9xmfNRqaiGWxBVfrRf7v2vkYygrZc4L6R5IB7KTQWMrvRjHpL8eY6nNlF1Ly8CX65vxcsLNPIjTKorgQLLNqUuezyz",
    "a_t0nmKcJeVQ0pxZmu5-Jr-VLCn3tms_eDs3qmnvfriVR9DggYVmO6xWJsbKUVYHmIDak4Sqxcf1RFtX0XYfWhSWPc41ZofX",
    "yyhQ9swIbAEw0JQ8kYyT8r3KmL-xAs5KEW5q41ngO9_s44_kug4NVw",
);
